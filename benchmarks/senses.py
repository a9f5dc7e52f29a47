"""How often two senses are told apart on units made from rules, and what each scores by itself.

    python -m benchmarks.senses

Writes benchmarks/results/senses.json. The explainer sorts the texts that it sees by the rules that hold at their marked words; the units'
first explanations name too much, as in `benchmarks.revision`. No model is loaded and nothing is asked over a network.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.planted_units import kind_of, marked_words, planted_recordings, planted_units, read_recorded, rules
from benchmarks.revision import score_of
from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.status import Status
from neurogloss.config.models import ModelParams
from neurogloss.config.params import Params, load_params
from neurogloss.llm.request import Client, Request
from neurogloss.llm.scripted import Scripted
from neurogloss.refining.senses import find_senses

ROOT = Path(__file__).parents[1]
SEEDS = 5


class SortingExplainer:
    """Sorts numbered texts by kinds of marked words, and names for each kind the narrowest rule that holds at all of its marks."""

    def __call__(self, request: Request) -> str:
        """One line for each kind."""
        lines = re.findall(r"^(\d+): (.*)$", request.messages[-1].content, re.MULTILINE)
        kinds: dict[str, dict[str, tuple[list[str], np.ndarray]]] = {}
        for number, line in lines:
            words, marked = marked_words(line)
            for place in np.flatnonzero(marked):
                kind = next((kind_of(name) for name, rule in rules().items() if rule(words)[place]), "")
                kinds.setdefault(kind, {}).setdefault(number, (words, np.zeros(len(words), bool)))[1][place] = True
        return "\n".join(f"[{', '.join(texts)}] {self.narrowest(kind, list(texts.values()))}" for kind, texts in kinds.items() if kind)

    def narrowest(self, kind: str, texts: list[tuple[list[str], np.ndarray]]) -> str:
        """The rule of a kind that holds at all marks and, of all, at the fewest words; of equal ones the longest."""
        fitting = [
            name for name, rule in rules().items() if kind_of(name) == kind and all(rule(words)[marks].all() for words, marks in texts)
        ]
        return min(fitting, key=lambda name: (sum(int(rules()[name](words).sum()) for words, _ in texts), -len(name)))


def settings(senses: int, method: str = "pieces") -> Params:
    """The project's params with a scripted explainer and so many senses."""
    params = load_params(ROOT / "params.yaml")
    scripted = params.models["smollm2"].model_copy(update={"provider": "scripted", "name": "script", "context": 100_000})
    return params.model_copy(
        update={
            "models": params.models | {"script": scripted},
            "explain": params.explain.model_copy(update={"model": "script", "method": method}),
            "refine": params.refine.model_copy(update={"senses": senses}),
        }
    )


@contextmanager
def opened(name: str, model: ModelParams, stage: str = "") -> Iterator[Client]:
    """The scripted explainer."""
    yield Scripted(SortingExplainer())


def measure(seed: int) -> dict[str, float]:
    """Shares of units whose senses are found and kept, and mean scores of units with two senses."""
    units = planted_units(seed=seed)
    recordings, simulate = planted_recordings(units, seed=seed + 1), partial(read_recorded, planted_recordings(units, seed=seed + 1))
    trials = find_senses(recordings, {row: Candidate(one.first, Status.OK) for row, one in enumerate(units)}, settings(2), simulate, opened)
    two = [row for row, one in enumerate(units) if ";" in one.right]
    right = [trials[row].kept and {sense.text for sense in trials[row].senses} == set(units[row].right.split("; ")) for row in two]
    alone = [score_of(recordings, row, sense.text) for row in two for sense in trials[row].senses]
    return {
        "units": len(units),
        "polysemous": len(two),
        "found": float(np.mean(right)),
        "split_wrongly": float(np.mean([trials[row].kept for row in range(len(units)) if row not in two])),
        "score_of_one_sentence": float(np.mean([score_of(recordings, row, units[row].first) for row in two])),
        "score_together": float(np.mean([score_of(recordings, row, "; ".join(one.text for one in trials[row].senses)) for row in two])),
        "score_alone": float(np.mean(alone)) if alone else 0.0,
    }


def main() -> None:
    """Measure over some seeds, print and write."""
    each = [measure(10 * seed) for seed in range(SEEDS)]
    found: dict[str, Any] = {"seeds": SEEDS} | {name: round(float(np.mean([one[name] for one in each])), 4) for name in each[0]}
    print(json.dumps(found))
    (ROOT / "benchmarks" / "results" / "senses.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
