"""refine: among several candidates, the one that simulates best on the select split becomes the explanation.

It may then be revised, and become several senses.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from neurogloss.artifacts.candidates import Candidate, Candidates
from neurogloss.artifacts.explanations import Explanation, Explanations, explanations
from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.revisions import Revision
from neurogloss.artifacts.status import Status
from neurogloss.config.params import Params
from neurogloss.errors import UserError
from neurogloss.llm.client import OpenClient, open_client
from neurogloss.refining.choosing import choose, select_scores
from neurogloss.refining.senses import Trial, find_senses
from neurogloss.simulators.opening import open_simulator
from neurogloss.simulators.result import Simulate

if TYPE_CHECKING:
    from neurogloss.subject.sentences import Heard, ReadSentences, Sentence

OpenReader = Callable[[Recordings], "ReadSentences"]


class Refined(NamedTuple):
    """What refine found."""

    explanations: Explanations
    revisions: list[Revision]
    trials: dict[int, Trial]
    """By row what came of looking for senses; nothing where `refine.senses` is 1."""


def refine(recordings: Recordings, candidates: Candidates, params: Params, opened: OpenClient = open_client) -> Explanations:
    """One explanation per neuron, in the order of the recordings, with the candidates it was chosen from: see `refine_in_rounds`."""
    return refine_in_rounds(recordings, candidates, params, opened).explanations


def refine_in_rounds(
    recordings: Recordings, candidates: Candidates, params: Params, opened: OpenClient = open_client, reader: OpenReader | None = None
) -> Refined:
    """One explanation per neuron, in the order of the recordings, with the candidates it was chosen from, and what else was found.

    Without rounds or senses a single candidate passes through: no simulator is opened. `reader` opens the subject, by default the
    recordings' own.
    Raises UserError where recordings and candidates are of different units.
    """
    if not (np.array_equal(recordings.layers, candidates.layers) and np.array_equal(recordings.indices, candidates.indices)):
        raise UserError("recordings and candidates are of different units; run `dvc repro`")
    rows, revisions = [list(row) for row in candidates.rows], list[Revision]()
    scores: list[list[float | None]] = [[None] * len(row) for row in rows]
    trials = dict[int, Trial]()
    revising, choosing = params.refine.rounds > 0, any(sum(one.status is Status.OK for one in row) > 1 for row in rows)
    if revising or choosing or params.refine.senses > 1:
        with open_simulator(recordings, params, "refine", opened) as simulate:
            if revising or choosing:
                scores = select_scores(recordings, range(len(rows)), rows, simulate)
            if revising:
                added, revisions = revised(recordings, usable(recordings, rows, scores), params, simulate, opened, reader or open_reader)
                for at, several in added.items():
                    rows[at] += several
                    scores[at] += [one.select_score for one in several]
            if params.refine.senses > 1:
                trials = find_senses(recordings, usable(recordings, rows, scores), params, simulate, opened)
    each = zip(recordings.layers.tolist(), recordings.indices.tolist(), rows, scores, strict=True)
    found = [explanation(layer, index, row, select, trials.get(at)) for at, (layer, index, row, select) in enumerate(each)]
    return Refined(explanations(found), revisions, trials)


def usable(recordings: Recordings, rows: Sequence[Sequence[Candidate]], scores: Sequence[Sequence[float | None]]) -> dict[int, Candidate]:
    """By row the best sentence of each unit that has one and is not silent."""
    kept = {at: choose(row, scores[at]).kept for at, row in enumerate(rows)}
    return {at: one for at, one in kept.items() if one.status is Status.OK and not recordings.silent[at]}


def revised(
    recordings: Recordings, kept: dict[int, Candidate], params: Params, simulate: Simulate, opened: OpenClient, reader: OpenReader
) -> tuple[dict[int, list[Candidate]], list[Revision]]:
    """What rounds of revision add to the candidates of each row of `kept`, and what happened in them."""
    from neurogloss.llm.tokens import fitting
    from neurogloss.refining.revise import Tools, revise
    from neurogloss.simulators.passages import simulate_pairs

    model = params.model(params.explain.model, "explain.model")
    with opened(params.explain.model, model, "revise") as explainer:
        read = partial(read_when_needed, recordings, reader, [])
        on_texts = partial(simulate_pairs, params=params, stage="refine", opened=opened)
        return revise(recordings, kept, params, Tools(explainer, model, fitting(model), simulate, on_texts, read))


def read_when_needed(
    recordings: Recordings, reader: OpenReader, opened: "list[ReadSentences]", sentences: "Sequence[Sentence]"
) -> "list[Heard]":
    """Open the subject at the first sentence: controls run none."""
    if not opened:
        opened.append(reader(recordings))
    return opened[0](sentences)


def open_reader(recordings: Recordings) -> "ReadSentences":
    """The subject that was recorded; UserError where the recordings do not say which."""
    from neurogloss.subject.recorded import load_recorded
    from neurogloss.subject.sentences import read_sentences

    return partial(read_sentences, load_recorded(recordings), recordings.corpus.shape[1])


def explanation(
    layer: int, index: int, candidates: Sequence[Candidate], scores: Sequence[float | None], trial: Trial | None = None
) -> Explanation:
    """What is kept for one neuron; a single candidate was not chosen. Several senses are one more candidate."""
    choice = choose(candidates, scores)
    if trial is None or not trial.senses:
        return Explanation(layer, index, choice.kept, choice.candidates if len(candidates) > 1 else ())
    several = (*(trial.single if one == choice.kept else one for one in choice.candidates), trial.candidate)
    if not trial.kept:
        return Explanation(layer, index, trial.single, several)
    return Explanation(layer, index, trial.candidate, several, trial.senses, trial.single.text)
