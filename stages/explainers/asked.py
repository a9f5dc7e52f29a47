"""Explanations from a language model; among several, the one that simulates best on the select split is kept."""

import numpy as np

from stages.artifacts.explanations import Candidate, Explanation
from stages.artifacts.recordings import Recordings, Split
from stages.artifacts.status import Status
from stages.errors import UserError
from stages.explainers.answers import choose
from stages.explainers.pairs import explain_pairs
from stages.llm.client import open_client
from stages.llm.tokens import fitting
from stages.params import Params
from stages.scoring.moments import correlation
from stages.simulators.run import OpenClient, Simulate, open_simulator


def explain_by_asking(recordings: Recordings, settings: Params, opened: OpenClient = open_client) -> list[Explanation]:
    """One explanation per neuron, in order, with the candidates it was chosen from."""
    chosen = settings.explain
    model = settings.model(chosen.model, "explain.model")
    prompt = settings.prompts.explain.get(chosen.prompt)
    if prompt is None:
        raise UserError(f"explain.prompt: there is no {chosen.prompt!r}; there are: {', '.join(settings.prompts.explain)}")
    rows = np.flatnonzero(~recordings.silent)
    with opened(chosen.model, model, "explain") as client:
        asked = explain_pairs(recordings, rows, prompt, chosen, model, fitting(model), client)
    found = dict(zip(rows.tolist(), asked, strict=True))
    scores: dict[int, list[float | None]] = {row: [None] * len(candidates) for row, candidates in found.items()}
    if any(sum(candidate.status is Status.OK for candidate in candidates) > 1 for candidates in found.values()):
        with open_simulator(recordings, settings, "choose", opened) as simulate:
            scores = select_scores(recordings, found, simulate)
    return [explanation(recordings, row, found.get(row), scores.get(row)) for row in range(len(recordings))]


def explanation(recordings: Recordings, row: int, candidates: list[Candidate] | None, scores: list[float | None] | None) -> Explanation:
    """What is kept for one neuron; without candidates it is a silent one."""
    layer, index = int(recordings.layers[row]), int(recordings.indices[row])
    if candidates is None or scores is None:
        return Explanation(layer, index, Candidate(None, Status.SILENT))
    choice = choose(candidates, scores)
    return Explanation(layer, index, choice.kept, choice.candidates if len(candidates) > 1 else ())


def select_scores(recordings: Recordings, found: dict[int, list[Candidate]], simulate: Simulate) -> dict[int, list[float | None]]:
    """Correlation of each candidate on the select split; None where it failed, its simulation did, or it is undefined."""
    slots = recordings.slots.where(Split.SELECT)
    scores: dict[int, list[float | None]] = {row: [] for row in found}
    for place in range(max(map(len, found.values()), default=0)):
        rows = np.array([row for row, candidates in found.items() if place < len(candidates)], np.int64)
        simulated = simulate(rows, slots, [found[int(row)][place].text for row in rows])
        for row, levels in zip(rows.tolist(), simulated.levels, strict=True):
            answered = ~np.isnan(levels).any(axis=1)
            recorded = np.asarray(recordings.activations[row, slots], np.float64)[answered]
            scores[row].append(correlation(recorded.ravel(), levels[answered].astype(np.float64).ravel()) if answered.any() else None)
    return scores
