"""simulate: predict a level for every token of the calibrate and score excerpts, from the explanation alone."""

import logging
from collections import Counter

import numpy as np
from jaxtyping import Bool

from neurogloss.artifacts.explanations import Explanations
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.simulations import NOBODY, Simulations
from neurogloss.artifacts.status import CODES, FailureLimit, Status, too_many
from neurogloss.config.params import Params
from neurogloss.config.prompts import Reader, Vocabulary
from neurogloss.config.trust import caution
from neurogloss.errors import UserError
from neurogloss.llm.client import OpenClient, open_client
from neurogloss.simulators.borrowing import borrow, controls, draw_lenders
from neurogloss.simulators.choice import chosen_simulator
from neurogloss.simulators.opening import open_simulator
from neurogloss.simulators.senses import by_senses, sense_simulations, simulate_senses

logger = logging.getLogger(__name__)


def simulate(recordings: Recordings, explanations: Explanations, params: Params, opened: OpenClient = open_client) -> Simulations:
    """Levels 0..10 for the calibrate and score excerpts of every neuron, in the order of the recordings.

    A neuron without an explanation keeps the explanation's status. Sentences are then tried on other neurons' excerpts (`borrowing`).
    `opened` gives the client of a language model.
    Raises UserError where recordings and explanations are of different neurons, or more failed than `limits.max_failed_share` allows.
    """
    if not (np.array_equal(recordings.layers, explanations.layers) and np.array_equal(recordings.indices, explanations.indices)):
        raise UserError("recordings and explanations are of different units; run `dvc repro`")
    slots = np.sort(recordings.slots.where(Split.CALIBRATE, Split.SCORE))
    chosen = chosen_simulator(params)
    if said := caution(params.prompts.explain[params.explain.method].layout, chosen.prompt.layout):
        logger.warning("%s", said)
    limit = FailureLimit("simulations", "simulate", params.limits.max_failed_share, expected(recordings, explanations, len(slots), params))
    with open_simulator(recordings, params, "simulate", opened, limit) as simulator:
        own = simulate_senses(simulator, np.arange(len(recordings)), slots, explanations.sentences)
        senses = sense_simulations(simulator, own, explanations.singles, recordings.slots.where(Split.SCORE))
        lent = by_senses(simulator, explanations.senses)
        borrowed = borrow(lent, recordings, explanations.texts, scorable(recordings, explanations), *drawn(params))
    found = own.together
    for row, status in enumerate(explanations.statuses):
        if status is not Status.OK:
            found.status[row] = CODES.index(status)
    written = int(found.written.sum())
    if written or borrowed.written:
        logger.warning(
            "%s neurons and %s borrowed sentences are read by the levels as written: some answers lack log-probabilities",
            written,
            borrowed.written,
        )
    where = recordings.layers, recordings.indices, slots
    simulations = Simulations(chosen.name, *where, found.levels, found.status, borrowed, written, senses)
    check_failures(simulations, explanations, params.limits.max_failed_share)
    return simulations


def expected(recordings: Recordings, explanations: Explanations, excerpts: int, params: Params) -> int:
    """How many simulations the stage tries: of the neurons' own sentences, of those that senses replaced, and of borrowed ones."""
    _, lenders = draw_lenders(recordings.layers, explanations.texts, scorable(recordings, explanations), *drawn(params))
    sentences = np.array([0 if None in several else len(several) for several in explanations.sentences], np.int64)
    scored = len(explanations.singles) + int(sentences[lenders[lenders != NOBODY]].sum())
    return int(sentences.sum()) * excerpts + scored * len(recordings.slots.where(Split.SCORE))


def check_failures(simulations: Simulations, explanations: Explanations, allowed: float) -> None:
    """UserError where more simulations failed than the params allow; what failed before, or has no explanation, was not tried here."""
    own = np.array([text is not None for text in explanations.texts], bool)
    borrowed = simulations.borrowed
    tried = np.concatenate([simulations.status[own].ravel(), borrowed.status[borrowed.lenders != NOBODY].ravel()])
    failed: Counter[Status] = Counter(CODES[code] for code in tried if CODES[code] is not Status.OK)
    if message := too_many(failed, tried.size, "simulations", "simulate", allowed):
        raise UserError(message)


def scorable(recordings: Recordings, explanations: Explanations) -> Bool[np.ndarray, " neuron"]:
    """Neurons that can have a score: not silent, and their explanation did not fail."""
    failed = [status not in (Status.OK, Status.NO_EXPLANATION) for status in explanations.statuses]
    return np.asarray(~recordings.silent & ~np.array(failed, bool))


def drawn(params: Params) -> tuple[int, int]:
    """How many sentences each neuron borrows, and the seed of the draw."""
    asks = not isinstance(chosen_simulator(params).prompt, (Vocabulary, Reader))
    return controls(params.score, asks), params.score.seed
