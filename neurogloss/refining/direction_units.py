"""Directions as units that explainers, simulators and scores know: recordings of their values, made without a file."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from neurogloss.artifacts.recordings import NEURONS, OPEN_SPLITS, Kind, Recordings, Split
from neurogloss.artifacts.units import UnitKind
from neurogloss.config.params import Params
from neurogloss.explainers.run import explain
from neurogloss.llm.client import OpenClient
from neurogloss.measures.correlation import PairedSums, merge, paired_sums, prediction_scores, totals
from neurogloss.refining.choosing import choose, select_scores
from neurogloss.refining.directions import Simulated
from neurogloss.scorers.intervals import correlation_intervals
from neurogloss.simulators.opening import open_simulator

HELD_OUT = 0.25
"""Share of the excerpts, with their documents, that only the score sees."""


class DirectionScore(NamedTuple):
    """How well a direction is explained on excerpts that nothing else was looked at in."""

    text: str | None
    score: float | None
    random_only: float | None
    low: float | None
    """95 % interval of the score over the excerpts; None with too few."""
    high: float | None


def held_out_excerpts(documents: Sequence[str], seed: int) -> Bool[np.ndarray, " excerpt"]:
    """Whole documents at random, until they hold a quarter of the excerpts; single excerpts where there is one document."""
    names, of = np.unique(np.array(documents, dtype=object).astype(str), return_inverse=True)
    rng = np.random.default_rng(seed)
    if len(names) < 2:
        return np.asarray(rng.permutation(len(of)) < HELD_OUT * len(of))
    order = rng.permutation(len(names))
    sizes = np.bincount(of, minlength=len(names))[order]
    chosen = order[np.cumsum(sizes) - sizes < HELD_OUT * len(of)]
    return np.isin(of, chosen[: len(names) - 1])


def direction_recordings(
    recordings: Recordings,
    values: Float32[np.ndarray, "direction excerpt token"],
    held_out: Bool[np.ndarray, " excerpt"],
    layer: int,
    seed: int,
) -> Recordings:
    """Each direction's strongest and some random excerpts: those of the score split held out, the others not."""
    slots, excerpts = recordings.slots, np.empty((len(values), len(recordings.slots)), np.int32)
    for number, own in enumerate(values):
        rng = np.random.default_rng([seed, number])
        for out in (False, True):
            pool = np.flatnonzero(held_out == out)
            where = {kind: slots.where(*((Split.SCORE,) if out else OPEN_SPLITS), kind=kind) for kind in Kind}
            drawn = rng.permutation(pool)
            randoms, rest = drawn[: len(where[Kind.RANDOM])], drawn[len(where[Kind.RANDOM]) :]
            strongest = rest[np.argsort(-own[rest].max(axis=1), kind="stable")]
            excerpts[number, where[Kind.RANDOM]] = np.resize(randoms, len(where[Kind.RANDOM]))
            excerpts[number, where[Kind.TOP]] = np.resize(strongest, len(where[Kind.TOP]))
    scale = 1000 / max(1.0, float(np.abs(values).max()))
    activations = np.stack([own[rows] for own, rows in zip(values * min(1.0, scale), excerpts, strict=True)]).astype(np.float16)
    peaks = activations[:, slots.where(Split.EXPLAIN)].reshape(len(values), -1).max(axis=1).astype(np.float64)
    return replace(
        recordings,
        layers=np.full(len(values), layer, np.int32),
        indices=np.arange(len(values), dtype=np.int32),
        statistics=NEURONS.empty_table(),
        peaks=np.where(peaks > 0, peaks, np.nan),
        excerpts=excerpts,
        activations=activations,
        table_tokens=np.empty(0, np.int32),
        table_counts=np.empty(0, np.int32),
        token_means=np.empty((len(values), 0), np.float16),
        kind=UnitKind.DIRECTIONS,
    )


class Explainer:
    """Explains directions by the params, as the pipeline explains units."""

    def __init__(self, recordings: Recordings, params: Params, held_out: Bool[np.ndarray, " excerpt"], opened: OpenClient) -> None:
        self.recordings, self.params, self.held_out, self.opened = recordings, params, held_out, opened

    def made(self, values: Float32[np.ndarray, "direction excerpt token"]) -> Recordings:
        """Recordings of the directions."""
        chosen = self.params.directions
        return direction_recordings(self.recordings, values, self.held_out, chosen.layer, chosen.seed)

    def texts(self, made: Recordings) -> list[str | None]:
        """The best candidate of each direction by the select split."""
        candidates = explain(made, self.params, self.opened).rows
        scores: list[list[float | None]] = [[None] * len(row) for row in candidates]
        if any(len(row) > 1 for row in candidates):
            with open_simulator(made, self.params, "directions", self.opened) as simulate:
                scores = select_scores(made, range(len(made)), candidates, simulate)
        return [choose(row, found).kept.text for row, found in zip(candidates, scores, strict=True)]

    def __call__(self, values: Float32[np.ndarray, "direction excerpt token"]) -> list[Simulated]:
        """Explain, and simulate on all that may be looked at."""
        made = self.made(values)
        texts, slots = self.texts(made), made.slots.where(*OPEN_SPLITS)
        with open_simulator(made, self.params, "directions", self.opened) as simulate:
            levels = simulate(np.arange(len(made)), slots, texts).levels
        return [Simulated(text, made.excerpts[row, slots], levels[row]) for row, text in enumerate(texts)]

    def scores(self, values: Float32[np.ndarray, "direction excerpt token"]) -> list[DirectionScore]:
        """Explain, simulate and score on the excerpts held out."""
        made = self.made(values)
        texts = self.texts(made)
        kinds = [made.slots.where(Split.SCORE, kind=kind) for kind in Kind]
        with open_simulator(made, self.params, "directions", self.opened) as simulate:
            top, random = (summed(made, slots, simulate(np.arange(len(made)), slots, texts).levels) for slots in kinds)
        both, alone = prediction_scores(merge(totals(top), totals(random)))[:, 0], prediction_scores(totals(random))[:, 0]
        low, high = correlation_intervals(top, random)
        each = zip(texts, both, alone, low, high, strict=True)
        return [DirectionScore(text, *(None if np.isnan(value) else float(value) for value in row)) for text, *row in each]


def summed(made: Recordings, slots: Int[np.ndarray, " slot"], levels: Float[np.ndarray, "direction slot token"]) -> PairedSums:
    """Sums over the excerpts that were simulated."""
    return paired_sums(np.asarray(made.activations[:, slots]), levels, ~np.isnan(levels).any(axis=2))
