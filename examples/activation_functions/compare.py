"""Explain the three subjects in the same way, and compare how well that goes.

python examples/activation_functions/compare.py models
"""

import argparse
import json
from pathlib import Path
from typing import Any

import neurogloss as ng
from neurogloss.config.params import Params
from neurogloss.scorers.summary import numbers, summary

ROOT = Path(__file__).parents[2]
NEURONS = 100
"""Of each layer."""


def settings(model: Path) -> Params:
    """The project's params with this subject and more neurons; explained by phrases, so nothing is asked of a language model."""
    params = ng.load_params(ROOT / "params.yaml")
    subject = params.subject.model_copy(update={"model": str(model), "sha256": None})
    return params.model_copy(update={"subject": subject, "record": params.record.model_copy(update={"neurons": NEURONS, "layers": "all"})})


def explained(model: Path, out: Path) -> dict[str, Any]:
    """Record, explain and score one subject: the score's mean with its interval, and what it stands beside."""
    params = settings(model)
    recordings = ng.record(params, out / "recordings")
    explanations = ng.refine(recordings, ng.explain(recordings, params), params)
    scores = ng.score(recordings, explanations, ng.simulate(recordings, explanations, params), params)
    about = summary(scores, 0)
    firing = recordings.statistics["firing_share"].to_numpy()
    return {
        "score": about["top_and_random"]["mean"],
        "interval": [about["top_and_random"]["ci_low"], about["top_and_random"]["ci_high"]],
        "random_only": about["random_only"]["mean"],
        "baseline": about["baseline"]["token_table"]["mean"],
        "control": about["control"]["mean"],
        "firing_share": round(float(firing.mean()), 4),
        "neurons": about["scored"],
        "best": round(float(max(numbers(scores, "top_and_random"))), 4),
    }


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    folder = parser.parse_args().models
    trained = json.loads((folder / "trained.json").read_text(encoding="utf-8"))
    found = {name: trained[name] | explained(folder / name, folder / f"{name}-result") for name in trained}
    (folder / "compared.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"{'':8} {'loss':>6} {'above 0':>8} {'score':>7} {'95 %':>16} {'random':>7} {'baseline':>9} {'control':>8}")
    for name, one in found.items():
        low, high = one["interval"]
        print(
            f"{name:8} {one['loss']:6.3f} {one['above_zero_share']:8.3f} {one['score']:7.3f} {low:7.3f} to {high:5.3f} "
            f"{one['random_only']:7.3f} {one['baseline']:9.3f} {one['control']:8.3f}"
        )


if __name__ == "__main__":
    main()
