"""Ways to revise explanations, compared with the explanations that they revise and so with one another, on the same units."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neurogloss.artifacts.candidates import Candidates
from neurogloss.artifacts.explanations import Explanations
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.revisions import Revision
from neurogloss.comparison.paired import Paired, paired
from neurogloss.config.params import Params
from neurogloss.config.refine import RefineMethod
from neurogloss.llm.client import OpenClient, open_client
from neurogloss.measures.correlation import prediction_score
from neurogloss.refining.refine import OpenReader, refine_in_rounds
from neurogloss.simulators.opening import open_simulator

LEVEL = 0.95


class MethodResult(NamedTuple):
    """One way to revise, against no revision."""

    method: RefineMethod
    score: Paired
    """On the score split."""
    generated: Paired
    """On the sentences that were proposed and held out; without units where the method proposes none."""
    changed: int
    """Units whose explanation was replaced."""


def compare_methods(
    recordings: Recordings,
    candidates: Candidates,
    params: Params,
    methods: Sequence[RefineMethod],
    opened: OpenClient = open_client,
    reader: OpenReader | None = None,
) -> list[MethodResult]:
    """Revise by each method in `refine.rounds` rounds, at least one, and score before and after."""
    rounds = max(1, params.refine.rounds)
    before = refine_in_rounds(recordings, candidates, with_refine(params, rounds=0, senses=1), opened, reader).explanations
    reference = score_split_scores(recordings, before, params, opened)
    found = []
    for method in methods:
        chosen = with_refine(params, method=method, rounds=rounds, senses=1)
        explanations, revisions, _ = refine_in_rounds(recordings, candidates, chosen, opened, reader)
        scores = score_split_scores(recordings, explanations, params, opened)
        changed = sum(old != new for old, new in zip(before.texts, explanations.texts, strict=True))
        found.append(MethodResult(method, paired(reference, scores, LEVEL, "top_and_random"), generated(revisions), changed))
    return found


def with_refine(params: Params, **changes: object) -> Params:
    """The params with another way to refine."""
    return params.model_copy(update={"refine": params.refine.model_copy(update=changes)})


def score_split_scores(
    recordings: Recordings, explanations: Explanations, params: Params, opened: OpenClient
) -> Float[np.ndarray, " neuron"]:
    """Correlation over each unit's score excerpts that were simulated; NaN where there is none."""
    slots = recordings.slots.where(Split.SCORE)
    with open_simulator(recordings, params, "simulate", opened) as simulate:
        levels = simulate(np.arange(len(recordings)), slots, explanations.texts).levels
    found = np.full(len(recordings), np.nan)
    for row, simulated in enumerate(levels):
        answered = ~np.isnan(simulated).any(axis=1)
        if answered.any() and not recordings.silent[row]:
            recorded = np.asarray(recordings.activations[row, slots], np.float64)[answered]
            score = prediction_score(recorded.ravel(), simulated[answered].astype(np.float64).ravel())
            found[row] = np.nan if score is None else score
    return found


def generated(revisions: Sequence[Revision]) -> Paired:
    """Scores on the held-out sentences, before and after each round of each unit."""
    pairs = [(one.generated_before, one.generated_after if one.kept else one.generated_before) for one in revisions]
    values = np.array(pairs, np.float64).reshape(-1, 2)
    return paired(values[:, 0], values[:, 1], LEVEL, "top_and_random")
