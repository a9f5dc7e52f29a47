"""simulate: predict a level for every token of the calibrate and score excerpts, from the explanation alone."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
from jaxtyping import Bool

from neurogloss.artifacts.explanations import Explanations
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.simulations import Simulations
from neurogloss.artifacts.status import CODES, Status, too_many
from neurogloss.config.models import ModelParams
from neurogloss.config.params import Params
from neurogloss.config.prompts import AllAtOncePrompt, AnySimulatePrompt, GeneratedPrompt, Vocabulary
from neurogloss.errors import UserError
from neurogloss.llm.client import OpenClient, open_client
from neurogloss.llm.request import Client
from neurogloss.phrases.levels import open_phrase_levels
from neurogloss.simulators import all_at_once, generated, one_at_a_time, vocabulary
from neurogloss.simulators.borrowing import borrow, controls
from neurogloss.simulators.result import Simulate, SimulatedLevels


def simulate(recordings: Recordings, explanations: Explanations, params: Params, opened: OpenClient = open_client) -> Simulations:
    """Levels 0..10 for the calibrate and score excerpts of every neuron, in the order of the recordings.

    A neuron without an explanation keeps the explanation's status. Sentences are then tried on other neurons' excerpts (`borrowing`).
    `opened` gives the client of a language model.
    Raises UserError where recordings and explanations are of different neurons, or more failed than `limits.max_failed_share` allows.
    """
    if not (np.array_equal(recordings.layers, explanations.layers) and np.array_equal(recordings.indices, explanations.indices)):
        raise UserError("recordings and explanations are of different neurons; run `dvc repro`")
    slots = np.sort(recordings.slots.where(Split.CALIBRATE, Split.SCORE))
    with open_simulator(recordings, params, "simulate", opened) as simulator:
        found = simulator(np.arange(len(recordings)), slots, explanations.texts)
        borrowed = borrow(simulator, recordings, explanations.texts, scorable(recordings, explanations), *drawn(params))
    for row, status in enumerate(explanations.statuses):
        if status is not Status.OK:
            found.status[row] = CODES.index(status)
    simulations = Simulations(params.simulate.method, recordings.layers, recordings.indices, slots, found.levels, found.status, borrowed)
    check_failures(simulations, params.limits.max_failed_share)
    return simulations


def check_failures(simulations: Simulations, allowed: float) -> None:
    """UserError where more simulations failed than the params allow; what no explanation was found for does not count here."""
    excused = [CODES.index(status) for status in (Status.SILENT, Status.NO_EXPLANATION)]
    every = np.concatenate([simulations.status.ravel(), simulations.borrowed.status.ravel()])
    tried = every[~np.isin(every, excused)]
    failed: Counter[Status] = Counter(CODES[code] for code in tried if CODES[code] is not Status.OK)
    if message := too_many(failed, tried.size, "simulations", "simulate", allowed):
        raise UserError(message)


def scorable(recordings: Recordings, explanations: Explanations) -> Bool[np.ndarray, " neuron"]:
    """Neurons that can have a score: not silent, and their explanation did not fail."""
    failed = [status not in (Status.OK, Status.NO_EXPLANATION) for status in explanations.statuses]
    return np.asarray(~recordings.silent & ~np.array(failed, bool))


def drawn(params: Params) -> tuple[int, int]:
    """How many sentences each neuron borrows, and the seed of the draw."""
    asks = not isinstance(params.prompts.simulate[params.simulate.method], Vocabulary)
    return controls(params.score, asks), params.score.seed


@contextmanager
def open_simulator(recordings: Recordings, params: Params, stage: str, opened: OpenClient = open_client) -> Iterator[Simulate]:
    """The simulator that the params name, as a function; models and connections close with the block."""
    prompt = params.prompts.simulate[params.simulate.method]
    if isinstance(prompt, Vocabulary):
        yield partial(vocabulary.simulate, open_phrase_levels(recordings, params))
    else:
        chosen = params.simulate.model
        model = params.model(chosen, "simulate.model")
        with opened(chosen, model, stage) as client:
            yield partial(asking, recordings, prompt, model, client)


def asking(
    recordings: Recordings,
    prompt: AnySimulatePrompt,
    model: ModelParams,
    client: Client,
    rows: np.ndarray,
    slots: np.ndarray,
    texts: Sequence[str | None],
) -> SimulatedLevels:
    """A simulator that asks a language model, in the layout of its prompt."""
    if isinstance(prompt, AllAtOncePrompt):
        return all_at_once.simulate(recordings, rows, slots, list(texts), client, prompt, model)
    if isinstance(prompt, GeneratedPrompt):
        return generated.simulate(recordings, rows, slots, list(texts), client, prompt, model)
    return one_at_a_time.simulate(recordings, rows, slots, list(texts), client, prompt, model)
