"""Choose and open the simulator that the params name, for the simulate stage and for choosing among explanations."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import numpy as np

from stages.artifacts.recordings import Recordings
from stages.artifacts.status import Status
from stages.errors import UserError
from stages.llm.client import open_client
from stages.llm.request import Client
from stages.params import ModelParams, Params
from stages.prompts import AllAtOncePrompt, GeneratedPrompt, ListPrompt, OneAtATimePrompt
from stages.simulators import all_at_once, generated, one_at_a_time
from stages.simulators.profiles import Gains
from stages.simulators.result import OK, SimulatedLevels, blank
from stages.simulators.token_table import token_table_levels
from stages.simulators.vocabulary import Vocabulary

Simulate = Callable[[np.ndarray, np.ndarray, Sequence[str | None]], SimulatedLevels]
"""(rows of the recordings, slots, explanations) -> levels and statuses."""
OpenClient = Callable[[str, ModelParams, str], AbstractContextManager[Client]]
"""(name under models, its params, stage) -> client."""


@contextmanager
def open_simulator(recordings: Recordings, settings: Params, stage: str, opened: OpenClient = open_client) -> Iterator[Simulate]:
    """Give the simulator as a function; models and connections close with the block."""
    chosen = settings.simulate
    if chosen.method == "vocabulary":
        yield open_vocabulary(recordings, settings).simulate
    elif chosen.method == "token_table":
        yield partial(from_table, recordings)
    else:
        model = settings.model(chosen.model, "simulate.model")
        with opened(chosen.model, model, stage) as client:
            yield partial(asking, recordings, settings, model, client)


def open_vocabulary(recordings: Recordings, settings: Params) -> Vocabulary:
    """The vocabulary simulator; its model is loaded only when a phrase is not known yet."""
    chosen = settings.vocabulary
    prompt = settings.prompts.simulate[chosen.prompt]
    if not isinstance(prompt, ListPrompt):
        raise UserError(f"vocabulary.prompt: {chosen.prompt!r} has layout {prompt.layout}, expected list")
    return Vocabulary(recordings, Gains(settings.model(chosen.model, "vocabulary.model"), prompt), chosen)


def asking(
    recordings: Recordings,
    settings: Params,
    model: ModelParams,
    client: Client,
    rows: np.ndarray,
    slots: np.ndarray,
    texts: Sequence[str | None],
) -> SimulatedLevels:
    """A simulator that asks a language model, in the layout of its prompt."""
    prompt = settings.prompts.simulate[settings.simulate.prompt]
    if isinstance(prompt, AllAtOncePrompt):
        return all_at_once.simulate(recordings, rows, slots, list(texts), client, prompt, model)
    if isinstance(prompt, GeneratedPrompt):
        return generated.simulate(recordings, rows, slots, list(texts), client, prompt, model)
    if isinstance(prompt, OneAtATimePrompt):
        return one_at_a_time.simulate(recordings, rows, slots, list(texts), client, prompt, model)
    raise UserError(f"simulate.prompt: {settings.simulate.prompt!r} has layout {prompt.layout}; choose one that fits simulate.method")


def from_table(recordings: Recordings, rows: np.ndarray, slots: np.ndarray, texts: Sequence[str | None]) -> SimulatedLevels:
    """The baseline as a simulator: what the explanation says plays no part, but a neuron without one gets no levels."""
    result = blank(len(rows), len(slots), recordings.corpus.shape[1], Status.NO_EXPLANATION)
    told = np.flatnonzero([text is not None for text in texts])
    result.levels[told] = token_table_levels(recordings, rows[told], slots)
    result.status[told] = OK
    return result
