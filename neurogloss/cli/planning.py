"""What explain, refine, simulate and score would ask of language models: the stages' own code, with a client that only counts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurogloss.artifacts.candidates import Candidate, Candidates
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import Status
from neurogloss.config.params import Params
from neurogloss.config.prompts import ExplainPrompt, Given, SimulatePrompt
from neurogloss.explainers.given import explain_given
from neurogloss.explainers.run import prompted
from neurogloss.llm.cache import Cache
from neurogloss.llm.planning import PlannedStep, Planner, stand_in
from neurogloss.refining.refine import refine_in_rounds
from neurogloss.scorers.asked import ask_scorers, first_lenders
from neurogloss.simulators.borrowing import borrow, draw_lenders
from neurogloss.simulators.choice import chosen_simulator
from neurogloss.simulators.opening import open_simulator
from neurogloss.simulators.run import drawn

if TYPE_CHECKING:
    from neurogloss.subject.sentences import Heard, Sentence


def plan(recordings: Recordings, params: Params, cache: Cache) -> list[PlannedStep]:
    """The steps that ask a model, in their order."""
    prompt = params.prompts.explain[params.explain.method]
    planner = Planner(cache, prompt.answers if isinstance(prompt, ExplainPrompt) else 1, params.refine.sentences)
    texts: list[str | None] = [None if silent else stand_in(str(row)) for row, silent in enumerate(recordings.silent)]
    if isinstance(prompt, Given):
        found = explain_given(recordings, Path(params.explain.given))
        texts = [next((one.text for one in row if one.text is not None), None) for row in found]
    asks = isinstance(chosen_simulator(params).prompt, SimulatePrompt)
    if isinstance(prompt, ExplainPrompt) or params.refine.rounds:
        known = explained(recordings, params, texts, planner, asks)
        texts = [known.get(row) for row in range(len(texts))]
    if asks:
        slots = np.sort(recordings.slots.where(Split.CALIBRATE, Split.SCORE))
        with open_simulator(recordings, params, "simulate", planner.open) as simulate:
            simulate(np.arange(len(recordings)), slots, texts)
            step = planner.steps[-1]
            own = step.requests
            borrow(simulate, recordings, texts, ~recordings.silent, *drawn(params))
            step.notes.append(f"{step.requests - own} of the requests try other units' explanations, for the control (score.controls)")
    if params.score.scorers:
        borrowers, lenders = draw_lenders(recordings.layers, texts, ~recordings.silent, *drawn(params))
        ask_scorers(recordings, texts, first_lenders(borrowers, lenders, len(recordings)), params, planner.open)
    return planner.steps


def explained(recordings: Recordings, params: Params, texts: Sequence[str | None], planner: Planner, asks: bool) -> dict[int, str]:
    """Explanations by row, as far as they are known or stand for one; what choosing and revising asks is counted, too."""
    prompt = params.prompts.explain[params.explain.method]
    if isinstance(prompt, ExplainPrompt):
        rows = prompted(recordings, params, prompt, planner.open)
    else:
        rows = [(Candidate(text, Status.SILENT if text is None else Status.OK),) for text in texts]
    if not asks and not params.refine.rounds:
        rows = [tuple(one for one in row if one.status is Status.OK)[:1] or (Candidate(None, Status.UNANSWERED),) for row in rows]
    candidates = Candidates(recordings.layers, recordings.indices, rows)
    found = refine_in_rounds(recordings, candidates, params, planner.open, lambda _: unread).explanations
    return {row: text for row, text in enumerate(found.texts) if text is not None}


def unread(sentences: "Sequence[Sentence]") -> "list[Heard]":
    """Stands for the subject, which a plan does not run: words as tokens, on which no unit fires."""
    from neurogloss.subject.sentences import Heard

    words = [tuple(word.encode() for word in one.text.split()) for one in sentences]
    return [Heard(pieces, (0.0,) * len(pieces)) for pieces in words]
