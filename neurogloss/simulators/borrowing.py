"""The control: other neurons' sentences, simulated on a neuron's own score excerpts. Same text, swapped explanation.

A simulation that knows the answer without reading the sentence, or a sentence that fits every neuron, does as well borrowed as its own.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, Int32

from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.simulations import NOBODY, Borrowed
from neurogloss.config.score import ScoreParams
from neurogloss.simulators.result import Simulate

NEURONS = 2000
"""Neurons that have a control, at most: with more neurons a random sample of these, so that time and disk stay bounded."""
WITHOUT_QUESTIONS, WITH_QUESTIONS = 8, 1
"""Borrowed sentences of each neuron where `score.controls` is auto: by simulators that ask no language model, and by those that do."""


def controls(params: ScoreParams, asks: bool) -> int:
    """Borrowed sentences of each neuron, at most."""
    if params.controls != "auto":
        return params.controls
    return WITH_QUESTIONS if asks else WITHOUT_QUESTIONS


def borrow(
    simulate: Simulate, recordings: Recordings, texts: Sequence[str | None], scorable: Bool[np.ndarray, " neuron"], count: int, seed: int
) -> Borrowed:
    """What up to `count` other sentences of its layer predict for each of at most NEURONS scorable neurons, drawn by the seed."""
    rows, lenders = draw_lenders(recordings.layers, texts, scorable, count, seed)
    slots = recordings.slots.where(Split.SCORE)
    sentences = [None if lender == NOBODY else texts[lender] for lender in lenders.ravel().tolist()]
    found = simulate(np.repeat(rows, count), slots, sentences)
    shape = (*lenders.shape, len(slots))
    return Borrowed(rows, lenders, slots, found.levels.reshape(*shape, -1), found.status.reshape(shape), int(found.written.sum()))


def draw_lenders(
    layers: Int[np.ndarray, " neuron"], texts: Sequence[str | None], scorable: Bool[np.ndarray, " neuron"], count: int, seed: int
) -> tuple[Int32[np.ndarray, " control"], Int32[np.ndarray, "control draw"]]:
    """Rows of the neurons that get a control, and of those whose sentences they borrow."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(scorable))  # Of all neurons: what was not explained must not draw another sample.
    rows = np.sort(order[scorable[order]][:NEURONS]).astype(np.int32)
    return rows, lenders_of(layers, np.array([text is not None for text in texts], bool), rows, count, rng)


def lenders_of(
    layers: Int[np.ndarray, " neuron"],
    explained: Bool[np.ndarray, " neuron"],
    rows: Int[np.ndarray, " control"],
    count: int,
    rng: np.random.Generator,
) -> Int32[np.ndarray, "control draw"]:
    """Up to `count` explained neurons for each of `rows`, never itself: of its layer, or where no other there is explained of any.

    Neurons stand in a random circle, and each borrows of the explained ones next to it: so in each draw everybody lends about once.

    >>> lenders_of(np.array([0, 0, 1]), np.array([True, True, False]), np.array([0, 1]), 2, np.random.default_rng(0)).tolist()
    [[1, -1], [0, -1]]
    """
    found = np.full((len(rows), count), NOBODY, np.int32)
    for layer in np.unique(layers[rows]):
        here = np.flatnonzero(layers[rows] == layer)
        found[here] = neighbours(rng.permutation(np.flatnonzero(layers == layer)), explained, rows[here], count)
    alone = np.flatnonzero((found == NOBODY).all(axis=1))
    found[alone] = neighbours(rng.permutation(len(layers)), explained, rows[alone], count)
    return found


def neighbours(
    circle: Int[np.ndarray, " place"], explained: Bool[np.ndarray, " neuron"], rows: Int[np.ndarray, " row"], count: int
) -> Int32[np.ndarray, "row draw"]:
    """The explained neurons that follow each row in a circle, the nearest first."""
    found = np.full((len(rows), count), NOBODY, np.int32)
    lending = np.flatnonzero(explained[circle])
    place = np.full(len(explained), NOBODY)
    place[circle] = np.arange(len(circle))
    first = np.searchsorted(lending, place[rows], side="right")
    others = len(lending) - explained[rows].astype(int)
    for draw in range(min(count, len(lending))):
        found[:, draw] = np.where(draw < others, circle[lending[(first + draw) % len(lending)]], NOBODY)
    return found
