"""What explain, refine, simulate and score would ask of language models: the stages' own code, with a client that only counts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurogloss.artifacts.candidates import Candidate, Candidates
from neurogloss.artifacts.explanations import JOINT, Sense
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import Status
from neurogloss.config.params import Params
from neurogloss.config.prompts import ExplainPrompt, Given, SimulatePrompt
from neurogloss.explainers.given import explain_given
from neurogloss.explainers.run import prompted
from neurogloss.llm.cache import Cache
from neurogloss.llm.planning import PlannedStep, Planner, stand_in
from neurogloss.refining.find_directions import search
from neurogloss.refining.refine import refine_in_rounds
from neurogloss.refining.senses import Trial, compared
from neurogloss.refining.senses_prompt import ask
from neurogloss.scorers.asked import ask_scorers, first_lenders
from neurogloss.simulators.borrowing import borrow, draw_lenders
from neurogloss.simulators.choice import chosen_simulator
from neurogloss.simulators.opening import open_simulator
from neurogloss.simulators.run import drawn
from neurogloss.simulators.senses import by_senses, sense_simulations, simulate_senses

if TYPE_CHECKING:
    from neurogloss.subject.sentences import Heard, Sentence

STANDING_IN = 4
"""Neurons of random values that stand for those of a layer."""


def plan(recordings: Recordings, params: Params, cache: Cache) -> list[PlannedStep]:
    """The steps that ask a model, in their order."""
    prompt = params.prompts.explain[params.explain.method]
    refine = params.refine
    planner = Planner(cache, prompt.answers if isinstance(prompt, ExplainPrompt) else 1, refine.sentences, refine.senses)
    texts: list[str | None] = [None if silent else stand_in(str(row)) for row, silent in enumerate(recordings.silent)]
    if isinstance(prompt, Given):
        given = explain_given(recordings, Path(params.explain.given))
        texts = [next((one.text for one in row if one.text is not None), None) for row in given]
    asks = isinstance(chosen_simulator(params).prompt, SimulatePrompt)
    sentences: dict[int, tuple[str, ...]] = {row: (text,) for row, text in enumerate(texts) if text is not None}
    singles: dict[int, str] = {}
    if isinstance(prompt, ExplainPrompt) or refine.rounds or (refine.senses > 1 and asks):
        found = explained(recordings, params, texts, planner, asks)
        sentences = {row: tuple(sense.text for sense in one.senses) or (one.single.text or "",) for row, one in found.items()}
        singles = {row: one.single.text or "" for row, one in found.items() if one.senses}
    texts = [JOINT.join(sentences[row]) if row in sentences else None for row in range(len(texts))]
    if asks:
        slots, scored = np.sort(recordings.slots.where(Split.CALIBRATE, Split.SCORE)), recordings.slots.where(Split.SCORE)
        with open_simulator(recordings, params, "simulate", planner.open) as simulate:
            own = simulate_senses(simulate, np.arange(len(recordings)), slots, [sentences.get(row, (None,)) for row in range(len(texts))])
            step = planner.steps[-1]
            before = step.requests
            sense_simulations(simulate, own, singles, scored)
            if singles:
                step.notes.append(f"{step.requests - before} of the requests try one sentence where there may be several (refine.senses)")
            before = step.requests
            lent = by_senses(simulate, {texts[row] or "": sentences[row] for row in singles})
            borrow(lent, recordings, texts, ~recordings.silent, *drawn(params))
            step.notes.append(f"{step.requests - before} of the requests try other units' explanations, for the control (score.controls)")
    if params.score.scorers:
        borrowers, lenders = draw_lenders(recordings.layers, texts, ~recordings.silent, *drawn(params))
        ask_scorers(recordings, texts, first_lenders(borrowers, lenders, len(recordings)), params, planner.open)
    return planner.steps


def plan_directions(recordings: Recordings, params: Params, cache: Cache) -> list[PlannedStep]:
    """What the search for directions asks, of random values in place of the subject's, which would take minutes to compute.

    At most: what was answered before is not known, and the first round's questions are those of the scores before where nothing is rounded
    another way.
    """
    prompt = params.prompts.explain[params.explain.method]
    if not isinstance(prompt, ExplainPrompt) and not isinstance(chosen_simulator(params).prompt, SimulatePrompt):
        return []
    planner = Planner(cache, prompt.answers if isinstance(prompt, ExplainPrompt) else 1)
    rng = np.random.default_rng(0)
    values = rng.standard_normal((*recordings.corpus.shape, STANDING_IN), np.float32).astype(np.float16)
    search(recordings, values, rng.normal(size=(params.directions.count, STANDING_IN)), params, planner.open)
    steps = summed(planner.steps)
    for step in steps:
        step.notes.append("what was answered before is not taken off: which questions come follows from the subject's activations")
    return steps


def summed(steps: Sequence[PlannedStep]) -> list[PlannedStep]:
    """One step for each stage and model: a search has three or so in each of its rounds."""
    found: dict[tuple[str, str], PlannedStep] = {}
    for step in steps:
        known = found.setdefault((step.stage, step.model), PlannedStep(step.stage, step.model, seconds=0.0, counted=step.counted))
        for name in ("requests", "cached", "tokens_in", "tokens_out", "tokens_likely", "usd", "usd_likely"):
            setattr(known, name, getattr(known, name) + getattr(step, name))
        known.seconds = None if None in (known.seconds, step.seconds) else (known.seconds or 0.0) + (step.seconds or 0.0)
        known.notes += [note for note in step.notes if note not in known.notes]
    return list(found.values())


def explained(recordings: Recordings, params: Params, texts: Sequence[str | None], planner: Planner, asks: bool) -> dict[int, Trial]:
    """Sentences by row, as far as they are known or stand for one; what choosing, revising and looking for senses asks is counted, too.

    Senses of which nobody knows yet whether they stay are taken to stay.
    """
    prompt = params.prompts.explain[params.explain.method]
    if isinstance(prompt, ExplainPrompt):
        rows = prompted(recordings, params, prompt, planner.open)
    else:
        rows = [(Candidate(text, Status.SILENT if text is None else Status.OK),) for text in texts]
    if not asks and not params.refine.rounds:
        rows = [tuple(one for one in row if one.status is Status.OK)[:1] or (Candidate(None, Status.UNANSWERED),) for row in rows]
    known = asks and isinstance(prompt, ExplainPrompt | Given)
    chosen = params if known else params.model_copy(update={"refine": params.refine.model_copy(update={"senses": 1})})
    candidates = Candidates(recordings.layers, recordings.indices, rows)
    explanations, _, trials = refine_in_rounds(recordings, candidates, chosen, planner.open, lambda _: unread)
    found = {row: Trial(one.kept) for row, one in enumerate(explanations.rows) if one.kept.text is not None}
    if known:
        undecided = {row: one for row, one in trials.items() if one.kept or (one.senses and one.score is None)}
        return found | undecided
    if params.refine.senses > 1 and isinstance(prompt, ExplainPrompt):
        ask(recordings, {row: one.single for row, one in found.items()}, params, planner.open)
    elif params.refine.senses > 1 and asks:
        found = {row: replace(one, senses=stand_ins(row, params.refine.senses)) for row, one in found.items()}
        with open_simulator(recordings, params, "refine", planner.open) as simulate:
            compared(recordings, found, simulate)
    return found


def stand_ins(row: int, count: int) -> tuple[Sense, ...]:
    """So many senses of a unit whose phrases are not there yet."""
    return tuple(Sense(stand_in(f"{row} {number}"), 1 / count) for number in range(count))


def unread(sentences: "Sequence[Sentence]") -> "list[Heard]":
    """Stands for the subject, which a plan does not run: words as tokens, on which no unit fires."""
    from neurogloss.subject.sentences import Heard

    words = [tuple(word.encode() for word in one.text.split()) for one in sentences]
    return [Heard(pieces, (0.0,) * len(pieces)) for pieces in words]
