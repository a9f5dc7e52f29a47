"""Whether a planted direction is found again: a concept's tokens along one direction of random activations, sought from near chance.

    python -m benchmarks.directions

Writes benchmarks/results/directions.json. No model is loaded; the explainer takes of a bank of concepts the one that fits the strongest
and some random excerpts best, as the explainer `concepts` does.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurogloss.config.directions import DirectionsParams
from neurogloss.measures.correlation import correlation
from neurogloss.refining.directions import Simulated, seek, values_of

ROOT = Path(__file__).parents[1]
EXCERPTS, TOKENS, WIDTH, VOCABULARY, CONCEPTS = 400, 32, 128, 600, 40
STRENGTH = 20.0
"""Of the planted direction, beside noise of standard deviation 1, both before neurons are mixed."""
SHOWN = 120
"""Excerpts that the explainer sees: half the strongest, half at random."""
FOUND = 0.9
PARAMS = DirectionsParams(layer=0, count=1, rounds=10)


@dataclass(frozen=True)
class World:
    """Random activations with a concept planted in them."""

    tokens: np.ndarray
    concepts: list[np.ndarray]
    """Token sets; the first is the planted one."""
    activations: np.ndarray
    open_excerpts: np.ndarray
    start: np.ndarray
    """A direction whose values correlate about 0.1 with the planted concept."""


def plant(seed: int) -> World:
    """A token's own activations, noise, correlated neurons, and one direction for the tokens of the first concept."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, VOCABULARY, (EXCERPTS, TOKENS))
    concepts = [rng.choice(VOCABULARY, 20, replace=False) for _ in range(CONCEPTS)]
    mixing = rng.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH) + np.eye(WIDTH)
    planted = rng.normal(size=WIDTH)
    planted *= STRENGTH / np.linalg.norm(planted)
    own = 0.25 * rng.normal(size=(VOCABULARY, WIDTH))
    activations = (own[tokens] + rng.normal(size=(*tokens.shape, WIDTH)) + np.isin(tokens, concepts[0])[..., None] * planted) @ mixing
    found = World(tokens, concepts, activations.astype(np.float16), np.arange(EXCERPTS) >= EXCERPTS // 4, np.zeros((1, WIDTH)))
    toward, away = np.linalg.solve(mixing, planted), rng.normal(size=WIDTH)
    shares = np.linspace(-1, 1, 401)
    mixed = np.array([(1 - abs(share)) * away / np.linalg.norm(away) + share * toward / np.linalg.norm(toward) for share in shares])
    values = activations[~found.open_excerpts].reshape(-1, WIDTH) @ mixed.T
    holds = np.isin(tokens, concepts[0])[~found.open_excerpts].ravel()
    reached = [abs(float(np.corrcoef(one, holds)[0, 1]) - 0.1) for one in values.T]
    return World(found.tokens, found.concepts, found.activations, found.open_excerpts, mixed[int(np.argmin(reached))][None])


def agreement(world: World, vector: np.ndarray) -> float:
    """Correlation of a direction's values with the planted concept, on the excerpts held out."""
    values = values_of(world.activations, np.zeros(WIDTH), vector[None])[0]
    return correlation(values[~world.open_excerpts], np.isin(world.tokens, world.concepts[0])[~world.open_excerpts].astype(float)) or 0.0


class ConceptExplainer:
    """Names the concept that fits best, and simulates it by its tokens."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.rng = world, np.random.default_rng(seed)

    def __call__(self, values: np.ndarray) -> Sequence[Simulated]:
        """The strongest and some random excerpts that may be looked at decide."""
        pool, found = np.flatnonzero(self.world.open_excerpts), []
        for own in values:
            top = pool[np.argsort(-own[pool].max(axis=1), kind="stable")][: SHOWN // 2]
            shown = np.concatenate([top, self.rng.choice(np.setdiff1d(pool, top), SHOWN // 2, replace=False)])
            levels = [10.0 * np.isin(self.world.tokens[shown], concept) for concept in self.world.concepts]
            fits = [correlation(own[shown], one) or -1.0 for one in levels]
            best = int(np.argmax(fits))
            found.append(Simulated(f"concept {best}", shown, levels[best]))
        return found


def measure(seed: int) -> dict[str, Any]:
    """Correlation with the planted concept before, and after each round."""
    world = plant(seed)
    rounds = seek(world.activations, world.open_excerpts, world.start, PARAMS, ConceptExplainer(world, seed + 1))
    reached = [agreement(world, one.vectors[0]) for one in rounds]
    best = agreement(world, np.linalg.lstsq(*regression(world), rcond=None)[0])
    needed = next((place + 1 for place, value in enumerate(reached) if value >= FOUND), None)
    return {
        "start": round(agreement(world, world.start[0]), 4),
        "reached": round(reached[-1], 4),
        "by_regression": round(best, 4),
        "rounds_needed": needed,
        "last_explanation": rounds[-1].texts[0],
    }


def regression(world: World) -> tuple[np.ndarray, np.ndarray]:
    """The planted concept from the neurons, by least squares on what may be looked at: what no direction can much exceed."""
    inside = world.activations[world.open_excerpts].reshape(-1, WIDTH).astype(np.float64)
    wanted = np.isin(world.tokens, world.concepts[0])[world.open_excerpts].ravel().astype(float)
    return inside - inside.mean(axis=0), wanted - wanted.mean()


def main() -> None:
    """Measure with some seeds, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    each = [measure(seed) for seed in range(parser.parse_args().seeds)]
    for one in each:
        print(json.dumps(one))
    found = {
        "seeds": len(each),
        "start": float(np.mean([one["start"] for one in each])),
        "reached": float(np.mean([one["reached"] for one in each])),
        "least_reached": min(one["reached"] for one in each),
        "by_regression": float(np.mean([one["by_regression"] for one in each])),
        "found_share": float(np.mean([one["rounds_needed"] is not None for one in each])),
        "most_rounds_needed": max(one["rounds_needed"] or PARAMS.rounds + 1 for one in each),
    }
    print(json.dumps(found))
    (ROOT / "benchmarks" / "results" / "directions.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
