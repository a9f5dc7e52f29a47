"""How many explanations that are too broad revision mends, and how many right ones it breaks, on units made from rules.

    python -m benchmarks.revision

Writes benchmarks/results/revision.json. No model is loaded and nothing is asked over a network.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.planted_units import PlantedSubject, ScriptedExplainer, planted_recordings, planted_units, read_recorded, read_texts
from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import Status
from neurogloss.config.params import Params, load_params
from neurogloss.config.refine import RefineMethod
from neurogloss.llm.scripted import Scripted
from neurogloss.llm.tokens import estimate
from neurogloss.measures.correlation import prediction_score
from neurogloss.refining.choosing import select_scores
from neurogloss.refining.revise import Tools, revise

ROOT = Path(__file__).parents[1]
METHODS: tuple[RefineMethod, ...] = ("counterexamples", "random_sentences", "corpus")
RIGHT = 0.95
"""A sentence with this score on the score split is right: only noise is left."""


def measure(method: RefineMethod, rounds: int, seed: int = 0) -> dict[str, Any]:
    """Share of the too broad explanations that end right, and of the right ones that do not stay it."""
    units = planted_units(seed=seed)
    recordings, params = planted_recordings(units, seed=seed + 1), settings(method, rounds)
    simulate = partial(read_recorded, recordings)
    first = [Candidate(unit.first, Status.OK) for unit in units]
    scores = select_scores(recordings, range(len(units)), [[one] for one in first], simulate)
    kept = {row: Candidate(one.text, one.status, score) for row, (one, (score,)) in enumerate(zip(first, scores, strict=True))}
    model = params.model(params.explain.model, "explain.model")
    tools = Tools(Scripted(ScriptedExplainer(seed + 3)), model, estimate, simulate, read_texts, PlantedSubject(units))
    _, revisions = revise(recordings, kept, params, tools)
    before = np.array([score_of(recordings, row, unit.first) for row, unit in enumerate(units)])
    after = np.array([score_of(recordings, row, kept[row].text or "") for row in range(len(units))])
    wrong = before < RIGHT
    two = np.array([";" in unit.right for unit in units])
    return {
        "method": method,
        "rounds": rounds,
        "units": len(units),
        "too_broad": int(wrong.sum()),
        "polysemous": int(two.sum()),
        "mended": float((after[wrong] >= RIGHT).mean()),
        "mended_polysemous": float((after[wrong & two] >= RIGHT).mean()),
        "broken": float((after[~wrong] < RIGHT).mean()),
        "score_before": float(before.mean()),
        "score_after": float(after.mean()),
        "sentences": sum(len(one.evidence) for one in revisions),
    }


def score_of(recordings: Recordings, row: int, text: str) -> float:
    """Correlation on the score split."""
    slots = recordings.slots.where(Split.SCORE)
    levels = read_recorded(recordings, np.array([row]), slots, [text]).levels[0]
    return prediction_score(np.asarray(recordings.activations[row, slots], np.float64).ravel(), levels.astype(np.float64).ravel()) or 0.0


def settings(method: RefineMethod, rounds: int) -> Params:
    """The project's params with a scripted explainer and rounds of revision."""
    params = load_params(ROOT / "params.yaml")
    scripted = params.models["smollm2"].model_copy(update={"provider": "scripted", "name": "script", "context": 100_000})
    return params.model_copy(
        update={
            "models": params.models | {"script": scripted},
            "explain": params.explain.model_copy(update={"model": "script"}),
            "refine": params.refine.model_copy(update={"method": method, "rounds": rounds}),
        }
    )


def main() -> None:
    """Measure each method over some seeds, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args()
    found = {}
    for method in METHODS:
        each = [measure(method, chosen.rounds, 10 * seed) for seed in range(chosen.seeds)]
        means = {name: round(float(np.mean([one[name] for one in each])), 4) for name in each[0] if name != "method"}
        found[method] = {"seeds": chosen.seeds, **means}
        print(method, json.dumps(found[method]))
    (ROOT / "benchmarks" / "results" / "revision.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
