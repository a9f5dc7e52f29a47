"""refine: among several candidates, the one that simulates best on the select split becomes the explanation."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from neurogloss.artifacts.candidates import Candidate, Candidates
from neurogloss.artifacts.explanations import Explanation, Explanations, explanations
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import Status
from neurogloss.config.params import Params
from neurogloss.errors import UserError
from neurogloss.llm.client import OpenClient, open_client
from neurogloss.measures.correlation import prediction_score
from neurogloss.simulators.opening import open_simulator
from neurogloss.simulators.result import Simulate


def refine(recordings: Recordings, candidates: Candidates, params: Params, opened: OpenClient = open_client) -> Explanations:
    """One explanation per neuron, in the order of the recordings, with the candidates it was chosen from.

    A single candidate passes through: no simulator is opened. Raises UserError where recordings and candidates are of different neurons.
    """
    if not (np.array_equal(recordings.layers, candidates.layers) and np.array_equal(recordings.indices, candidates.indices)):
        raise UserError("recordings and candidates are of different neurons; run `dvc repro`")
    scores: list[list[float | None]] = [[None] * len(row) for row in candidates.rows]
    if any(sum(one.status is Status.OK for one in row) > 1 for row in candidates.rows):
        with open_simulator(recordings, params, "refine", opened) as simulate:
            scores = select_scores(recordings, candidates.rows, simulate)
    rows = zip(recordings.layers.tolist(), recordings.indices.tolist(), candidates.rows, scores, strict=True)
    return explanations([explanation(layer, index, row, found) for layer, index, row, found in rows])


def explanation(layer: int, index: int, candidates: Sequence[Candidate], scores: Sequence[float | None]) -> Explanation:
    """What is kept for one neuron; a single candidate was not chosen."""
    choice = choose(candidates, scores)
    return Explanation(layer, index, choice.kept, choice.candidates if len(candidates) > 1 else ())


def select_scores(recordings: Recordings, found: Sequence[Sequence[Candidate]], simulate: Simulate) -> list[list[float | None]]:
    """Score of each candidate on the select split; None where it failed, its simulation did, or the recording is constant."""
    slots = recordings.slots.where(Split.SELECT)
    scores: list[list[float | None]] = [[] for _ in found]
    for place in range(max(map(len, found), default=0)):
        rows = np.array([row for row, candidates in enumerate(found) if place < len(candidates)], np.int64)
        simulated = simulate(rows, slots, [found[int(row)][place].text for row in rows])
        for row, levels in zip(rows.tolist(), simulated.levels, strict=True):
            answered = ~np.isnan(levels).any(axis=1)
            recorded = np.asarray(recordings.activations[row, slots], np.float64)[answered]
            scores[row].append(prediction_score(recorded.ravel(), levels[answered].astype(np.float64).ravel()) if answered.any() else None)
    return scores


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
