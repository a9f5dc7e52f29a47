"""The better of several explanations by the select split."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import Status
from neurogloss.config.params import Params
from neurogloss.config.prompts import SimulatePrompt
from neurogloss.measures.correlation import prediction_score
from neurogloss.simulators.choice import chosen_simulator
from neurogloss.simulators.reader import simulation as reading
from neurogloss.simulators.result import Simulate


def select_scores(
    recordings: Recordings, rows: Sequence[int], found: Sequence[Sequence[Candidate]], simulate: Simulate
) -> list[list[float | None]]:
    """Score of each row's candidates on the select split; None where one failed, its simulation did, or the recording is constant."""
    slots = recordings.slots.where(Split.SELECT)
    scores: list[list[float | None]] = [[] for _ in found]
    for place in range(max(map(len, found), default=0)):
        units = [unit for unit, candidates in enumerate(found) if place < len(candidates)]
        simulated = simulate(np.array([rows[unit] for unit in units], np.int64), slots, [found[unit][place].text for unit in units])
        for unit, levels in zip(units, simulated.levels, strict=True):
            answered = ~np.isnan(levels).any(axis=1)
            recorded = np.asarray(recordings.activations[rows[unit], slots], np.float64)[answered]
            scores[unit].append(prediction_score(recorded.ravel(), levels[answered].astype(np.float64).ravel()) if answered.any() else None)
    return scores


def unpaid(recordings: Recordings, params: Params, simulate: Simulate) -> Simulate:
    """The simulator where it asks no language model, else the reader: what is only looked for costs nothing."""
    return partial(reading.simulate, recordings) if isinstance(chosen_simulator(params).prompt, SimulatePrompt) else simulate


class Choice(NamedTuple):
    """The candidate that is kept, and all of them with their scores."""

    kept: Candidate
    candidates: tuple[Candidate, ...]


def choose(candidates: Sequence[Candidate], select_scores: Sequence[float | None]) -> Choice:
    """The best of n by correlation on the select split: the first of the highest, an undefined score below any other.

    Without a usable candidate the first failure is kept. Raises ValueError without any candidate, or where a failure has a score.
    """
    scored = tuple(Candidate(candidate.text, candidate.status, score) for candidate, score in zip(candidates, select_scores, strict=True))
    if not scored or any(c.status is not Status.OK and c.select_score is not None for c in scored):
        raise ValueError(f"{len(scored)} candidates with scores {list(select_scores)}")
    usable = [c for c in scored if c.status is Status.OK]
    best = max(usable, key=lambda c: -2.0 if c.select_score is None else c.select_score, default=scored[0])
    return Choice(best, scored)
