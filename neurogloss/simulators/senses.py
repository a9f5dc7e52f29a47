"""Simulate explanations of several senses: each sense by itself, and at each token the highest level of any."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from neurogloss.artifacts.simulations import SenseSimulations
from neurogloss.simulators.result import OK, Simulate, SimulatedLevels

Senses = Mapping[str, Sequence[str | None]]
"""The sentences of each explanation that has several, by its text."""


class BySense(NamedTuple):
    """What is simulated of some neurons, and of the senses of those that have several."""

    together: SimulatedLevels
    rows: Int[np.ndarray, " sense"]
    """Which of the neurons."""
    each: SimulatedLevels


def simulate_senses(
    simulate: Simulate, rows: Int[np.ndarray, " neuron"], slots: Int[np.ndarray, " place"], sentences: Sequence[Sequence[str | None]]
) -> BySense:
    """The `sentences` of each neuron, one or several, in one call of the simulator.

    An excerpt on which one of several fails has no levels, and the status of the first that failed.
    """
    counts = np.array([len(several) for several in sentences], np.int64)
    several = counts > 1
    owners = np.repeat(np.arange(len(counts)), counts)
    found = simulate(rows[owners], slots, [sentence for several in sentences for sentence in several])
    if not several.any():
        return BySense(found, np.empty(0, np.int32), chosen(found, np.empty(0, np.int64)))
    starts = np.cumsum(counts) - counts
    together = chosen(found, starts)
    for neuron in np.flatnonzero(several):
        part = slice(starts[neuron], starts[neuron] + counts[neuron])
        failed = found.status[part] != OK
        together.levels[neuron] = found.levels[part].max(axis=0)  # NaN where any is.
        together.status[neuron] = np.take_along_axis(found.status[part], failed.argmax(axis=0)[None], axis=0)[0]
        together.written[neuron] = found.written[part].any()
    return BySense(together, owners[several[owners]].astype(np.int32), chosen(found, np.flatnonzero(several[owners])))


def chosen(found: SimulatedLevels, at: Int[np.ndarray, " kept"]) -> SimulatedLevels:
    """Copies of some of the simulations."""
    return SimulatedLevels(found.levels[at], found.status[at], found.written[at])


def by_senses(simulate: Simulate, senses: Senses) -> Simulate:
    """A simulator that knows which texts are several senses."""
    return partial(together, simulate, senses) if senses else simulate


def together(simulate: Simulate, senses: Senses, rows: np.ndarray, slots: np.ndarray, texts: Sequence[str | None]) -> SimulatedLevels:
    """The highest level of any sense."""
    sentences: list[Sequence[str | None]] = [(text,) if text is None else senses.get(text, (text,)) for text in texts]
    return simulate_senses(simulate, rows, slots, sentences).together


def sense_simulations(
    simulate: Simulate, found: BySense, singles: Mapping[int, str], slots: Int[np.ndarray, " place"]
) -> SenseSimulations | None:
    """What was found of the senses, and what the sentences that they replaced predict on these slots; None without any."""
    if not singles:
        return None
    single = simulate(np.array(sorted(singles)), slots, [singles[row] for row in sorted(singles)])
    return SenseSimulations(found.rows, found.each.levels, found.each.status, slots, single.levels, single.status)
