"""The numbers to commit: what was scored, what was not and why, each mean with its interval, the baseline and the control."""

from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from neurogloss.artifacts.status import Status
from neurogloss.scorers.intervals import mean_interval, units_needed

DIGITS = 6
"""Decimals of every number in metrics/."""
MEASURES = ("top_and_random", "random_only", "top_only")
EXPLAINED = ("variance_explained", "absolute_deviation_explained")
REFERENCES = ("token_table", "control")
THRESHOLDS = (0.5, 0.7, 0.8)
PERCENTILES = (10, 25, 75, 90)


def summary(scores: pa.Table, dealt: int) -> dict[str, Any]:
    """Metrics as nested JSON, rounded. `dealt` is the number of score excerpts of each neuron.

    Every mean is over the neurons whose status is ok, baseline and control included, so that they can be laid side by side;
    `neurons` beside a mean tells over how many of those the measure is defined. Shares are shares of the scored neurons.
    """
    scored = scored_rows(scores)
    about = {name: described(numbers(scored, name), units_needed(name)) for name in (*MEASURES, *EXPLAINED, *REFERENCES)}
    why = scores["status"].to_pylist()
    simulated = int(np.sum(scored["excerpts"].to_numpy()))
    best = numbers(scored, MEASURES[0])
    return {
        "neurons": len(scores),
        "scored": len(scored),
        "failed": len(scores) - len(scored),
        "failed_by_cause": {str(status): why.count(str(status)) for status in Status if status is not Status.OK},
        "excerpts": {"scored": simulated, "failed": dealt * len(scored) - simulated},
        **{name: about[name] for name in (*MEASURES, *EXPLAINED)},
        "share_at_least": {str(t): rounded(float(np.mean(best >= t))) if len(best) else None for t in THRESHOLDS},
        "baseline": {"token_table": about["token_table"]},
        "control": about["control"],
    }


def scored_rows(scores: pa.Table) -> pa.Table:
    """The neurons that have a score."""
    return scores.filter(np.array(scores["status"].to_pylist(), dtype=object) == str(Status.OK))


def numbers(scores: pa.Table, name: str) -> Float[np.ndarray, " neuron"]:
    """A column as floats; null becomes NaN."""
    return np.asarray(scores[name].to_numpy(zero_copy_only=False), dtype=np.float64)


def described(values: Float[np.ndarray, " neuron"], needed: int) -> dict[str, float | int | None]:
    """Mean, interval and spread of the numbers; None throughout where there is none. `needed` is how many an interval needs."""
    present = values[~np.isnan(values)]
    interval = mean_interval(present, needed=needed)
    if not len(present):
        empty = ("mean", "median", "std", "ci_low", "ci_high", *(f"p{p}" for p in PERCENTILES))
        return {"neurons": 0, **dict.fromkeys(empty)}
    return {
        "neurons": len(present),
        "mean": rounded(present.mean()),
        "median": rounded(np.median(present)),
        "std": rounded(present.std()),
        "ci_low": rounded(interval.low) if interval else None,
        "ci_high": rounded(interval.high) if interval else None,
        **{f"p{p}": rounded(np.percentile(present, p)) for p in PERCENTILES},
    }


def rounded(value: float | np.floating[Any] | None) -> float | None:
    """To DIGITS decimals; NaN becomes None and -0.0 becomes 0.0."""
    return None if value is None or np.isnan(value) else round(float(value), DIGITS) + 0.0
