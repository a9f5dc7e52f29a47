"""The numbers to commit: what was scored, what was not and why, each mean with its interval, the baseline and the control."""

from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from neurogloss.artifacts.scores import CLASSIFIERS
from neurogloss.artifacts.simulations import NOBODY, OK, Simulations
from neurogloss.artifacts.status import Status
from neurogloss.scorers.intervals import mean_interval, units_needed

DIGITS = 6
"""Decimals of every number in metrics/."""
HEADLINE = {
    "score": "top_and_random.mean",
    "score_low": "top_and_random.ci_low",
    "score_high": "top_and_random.ci_high",
    "random_only": "random_only.mean",
    "baseline": "baseline.token_table.mean",
    "control": "control.mean",
    "scored": "scored",
    "detection": "detection.balanced_accuracy.mean",
    "fuzzing": "fuzzing.balanced_accuracy.mean",
    "attends": "attends.balanced_accuracy.mean",
}
"""Name in metrics/score.json -> place in the summary; the last three only where they were asked."""
MEASURES = ("top_and_random", "random_only", "top_only", "control", "margin", "sensitivity", "variance_explained")
THRESHOLDS = (0.5, 0.7, 0.8)
PERCENTILES = (10, 25, 75, 90)
SCORED = (Status.OK, Status.NO_EXPLANATION)
"""Statuses beside which a score can stand."""


def summary(scores: pa.Table, dealt: int) -> dict[str, Any]:
    """Metrics as nested JSON, rounded. `dealt` is the number of score excerpts of each neuron.

    Means are over the scored neurons: a constant simulation and a missing sentence score 0, so no explainer can gain by silence. The
    baseline is over every neuron whose recording can be scored. `neurons` beside a mean tells over how many the measure is defined:
    `control` and `margin`, a paired difference, over those that have a control. Shares are shares of the scored neurons.
    """
    scored = scored_rows(scores)
    why, scored_why = (np.array(table["status"].to_pylist(), dtype=object) for table in (scores, scored))
    best, answered = numbers(scored, "top_and_random"), scored_why == str(Status.OK)
    simulated = int(np.sum(scored["excerpts"].to_numpy()[answered]))
    return {
        "neurons": len(scores),
        "scored": len(scored),
        "failed": len(scores) - len(scored),
        "failed_by_cause": {str(status): int((why == str(status)).sum()) for status in Status if status not in SCORED},
        "zero_by_cause": {
            "constant_simulation": int((answered & (best == 0)).sum()),
            "no_explanation": int((scored_why == str(Status.NO_EXPLANATION)).sum()),
        },
        "excerpts": {"scored": simulated, "failed": dealt * int(answered.sum()) - simulated},
        **{name: described(numbers(scores, name), units_needed(name)) for name in MEASURES},
        "share_at_least": {str(t): rounded(float(np.mean(best >= t))) if len(best) else None for t in THRESHOLDS},
        "baseline": {"token_table": described(numbers(scores, "token_table"), units_needed("token_table"))},
        **({"ablation": ablated(scores)} if scores["ablation_status"].null_count < len(scores) else {}),
        **({"senses": senses(scores)} if "senses" in scores.column_names else {}),
        **{scorer: classified(scores, scorer) for scorer in CLASSIFIERS if scores[f"{scorer}_status"].null_count < len(scores)},
    }


def headline(details: dict[str, Any]) -> dict[str, float | int | None]:
    """The foremost numbers of a summary, in the order in which DVC and MLflow show them.

    >>> headline({"top_and_random": {"mean": 0.2, "ci_low": None}, "scored": 3})
    {'score': 0.2, 'score_low': None, 'scored': 3}
    """
    found: dict[str, float | int | None] = {}
    for name, place in HEADLINE.items():
        value: Any = details
        for key in place.split("."):
            value = value.get(key, ...) if isinstance(value, dict) else ...
        if value is not ...:
            found[name] = value
    return found


def ablated(scores: pa.Table) -> dict[str, Any]:
    """The ablation score, its control and the paired difference, and why units have none."""
    status = scores["ablation_status"].to_pylist()
    own, control = numbers(scores, "ablation"), numbers(scores, "ablation_control")
    measures = {"score": own, "random_only": numbers(scores, "ablation_random_only"), "control": control, "margin": own - control}
    return {
        **{name: described(values, units_needed("ablation")) for name, values in measures.items()},
        "unscored_by_cause": {str(one): status.count(str(one)) for one in Status if one not in SCORED and str(one) in status},
    }


def senses(scores: pa.Table) -> dict[str, Any]:
    """How many units have several senses, and over these the score of all together, of one sentence, their paired difference, and of each.

    `alone` is over senses, not units.
    """
    several = [row for row in scores["senses"].to_pylist() if row]
    counts = np.array([len(row) for row in several])
    together, single = numbers(scores, "top_and_random"), numbers(scores, "single")
    alone = np.array([sense["score"] for row in several for sense in row], np.float64)
    return {
        "units": len(several),
        "by_count": {str(count): int((counts == count).sum()) for count in np.unique(counts).tolist()},
        "together": described(np.where(np.isnan(single), np.nan, together), units_needed("top_and_random")),
        "single": described(np.where(np.isnan(together), np.nan, single), units_needed("top_and_random")),
        "difference": described(together - single, units_needed("top_and_random")),
        "alone": rounded(alone[~np.isnan(alone)].mean()) if (~np.isnan(alone)).any() else None,
        "failed": int(np.isnan(alone).sum()),
    }


def classified(scores: pa.Table, scorer: str) -> dict[str, Any]:
    """Balanced accuracy, AUC, control and the paired difference of a scorer that was run, and what failed."""
    why = scores[f"{scorer}_status"].to_pylist()
    own, control = numbers(scores, scorer), numbers(scores, f"{scorer}_control")
    measures = {"balanced_accuracy": own, "auc": numbers(scores, f"{scorer}_auc"), "control": control, "margin": own - control}
    return {
        **{name: described(values, units_needed(name)) for name, values in measures.items()},
        "failed": sum(status not in SCORED for status in why),
        "failed_by_cause": {str(status): why.count(str(status)) for status in Status if status not in SCORED},
        "failed_excerpts": int(np.nansum(numbers(scores, f"{scorer}_failed"))),
    }


def borrowed_counts(simulations: Simulations) -> dict[str, int]:
    """How many neurons have a control, by how many borrowed sentences, and how many of their excerpts have no simulation."""
    lent = simulations.borrowed.lenders != NOBODY
    failed = (simulations.borrowed.status != OK) & lent[..., None]
    return {"neurons": int(lent.any(axis=1).sum()), "sentences": int(lent.sum()), "failed_excerpts": int(failed.sum())}


def scored_rows(scores: pa.Table) -> pa.Table:
    """The neurons that have a score."""
    return scores.filter(~np.isnan(numbers(scores, "top_and_random")))


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
