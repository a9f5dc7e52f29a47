"""Which are better explained: latents of a small sparse autoencoder, or all neurons of the same layer?

    python -m benchmarks.kinds [--sae data/sae] [--layer 8] [--out build/kinds]

The default pipeline on both, with the same excerpts, explainer, simulator and score. Without --sae the autoencoder is trained first, by
examples/train_sae.py. Units of two kinds are no pairs, so the difference is that of two means; within a kind, what the explanations add to
the baseline (the mean per token) is paired. Needs the model of params.yaml; `seconds` is the processor time of all threads.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from neurogloss.config.params import Params, load_params
from neurogloss.config.subject import SaeParams
from neurogloss.explainers.run import explain
from neurogloss.recording.run import record
from neurogloss.refining.refine import refine
from neurogloss.scorers.intervals import LEVEL, UNIT_KURTOSIS, freedom, mean_interval, student
from neurogloss.scorers.run import score
from neurogloss.scorers.summary import numbers
from neurogloss.simulators.run import simulate

ROOT = Path(__file__).parents[1]
MEASURES = ("top_and_random", "random_only", "token_table", "control")
DIGITS = 4
Values = Float[np.ndarray, " unit"]


def main() -> None:
    """Record, explain and score both kinds; print, and end in one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sae", type=Path, help="an autoencoder of this layer; by default one is trained")
    parser.add_argument("--layer", type=int, default=8)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--out", type=Path, default=Path("build/kinds"))
    given = parser.parse_args()
    begun, params = time.monotonic(), load_params(given.params)
    found: dict[str, Any] = {"layer": given.layer}
    if given.sae is None:
        given.sae = given.out / "sae"
        command = [sys.executable, str(ROOT / "examples" / "train_sae.py"), str(given.sae)]
        subprocess.run([*command, "--layer", str(given.layer), "--params", str(given.params)], check=True)
        spent = os.times()
        found["training"] = {"seconds": round(spent.children_user + spent.children_system, 1), "wall_s": round(time.monotonic() - begun)}
    scores = {}
    for kind, changes in (("latents", {"sae": SaeParams(source=str(given.sae))}), ("neurons", {})):
        chosen = params_of(params, given.layer, kind, changes)
        scores[kind], found[kind] = explained(chosen, given.out / kind)
        print(json.dumps({kind: found[kind]}), flush=True)
    found["difference"] = {name: apart(*(numbers(scores[kind], name) for kind in ("latents", "neurons"))) for name in MEASURES[:3]}
    found["less_baseline"] = {kind: described(less_baseline(table)) for kind, table in scores.items()}
    found["difference"]["less_baseline"] = apart(*map(less_baseline, (scores["latents"], scores["neurons"])))
    print(json.dumps(found | {"wall_s": round(time.monotonic() - begun), "load": round(os.getloadavg()[1], 1)}))


def params_of(params: Params, layer: int, kind: str, changes: dict[str, Any]) -> Params:
    """The params of the pipeline for all units of one layer."""
    subject = params.subject.model_copy(update={"units": kind, **changes})
    return params.model_copy(
        update={"subject": subject, "record": params.record.model_copy(update={"layers": [layer], "neurons": "all", "units": None})}
    )


def explained(params: Params, out: Path) -> tuple[pa.Table, dict[str, Any]]:
    """The scores of one kind, and what is to be said of it."""
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        start = time.process_time()
        yield
        seconds[stage] = round(time.process_time() - start, 1)

    begun = time.monotonic()
    with timed("record"):
        recordings = record(params, out / "recordings")
    with timed("explain"):
        candidates = explain(recordings, params)
    with timed("refine"):
        explanations = refine(recordings, candidates, params)
    with timed("simulate"):
        simulations = simulate(recordings, explanations, params)
    with timed("score"):
        scores = score(recordings, explanations, simulations, params)
    coders = [{key: coder[key] for key in ("latents", "variance_explained", "l0")} for coder in recordings.about.get("sae", [])]
    return scores, {
        "units": len(recordings),
        "dead": int((recordings.statistics["above_zero_share"].to_numpy() == 0).sum()),
        **(coders[0] if coders else {}),
        **{name: described(numbers(scores, name)) for name in MEASURES},
        "seconds": seconds | {"all": round(sum(seconds.values()), 1)},
        "wall_s": round(time.monotonic() - begun),
    }


def less_baseline(scores: pa.Table) -> Values:
    """What each unit's explanation scores beyond its mean per token."""
    return np.asarray(numbers(scores, "top_and_random") - numbers(scores, "token_table"))


def described(values: Values) -> dict[str, float | int | None]:
    """Mean over the units that have a value, with its 95 % interval."""
    present = values[~np.isnan(values)]
    interval = mean_interval(present)
    low, high = (None, None) if interval is None else (round(interval.low, DIGITS), round(interval.high, DIGITS))
    return {"units": len(present), "mean": round(float(present.mean()), DIGITS), "low": low, "high": high}


def apart(one: Values, other: Values) -> dict[str, float]:
    """The difference of two means of different units with its 95 % interval (Welch 1947, degrees of freedom after Satterthwaite 1946)."""
    sides = [values[~np.isnan(values)] for values in (one, other)]
    errors = [side.var(ddof=1) / len(side) for side in sides]
    each = [float(freedom(np.asarray(float(len(side))), UNIT_KURTOSIS)) for side in sides]
    degrees = sum(errors) ** 2 / sum(error**2 / free for error, free in zip(errors, each, strict=True))
    reach = float(student(LEVEL, np.asarray(degrees))) * math.sqrt(sum(errors))
    mean = float(sides[0].mean() - sides[1].mean())
    return {"mean": round(mean, DIGITS), "low": round(mean - reach, DIGITS), "high": round(mean + reach, DIGITS)}


if __name__ == "__main__":
    main()
