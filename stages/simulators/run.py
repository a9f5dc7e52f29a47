"""Choose and open the simulator that the params name, for the simulate stage and for choosing among explanations."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from stages.artifacts.recordings import Recordings
from stages.artifacts.status import Status
from stages.errors import UserError
from stages.params import Params
from stages.prompts import ListPrompt
from stages.simulators.profiles import Gains
from stages.simulators.result import OK, SimulatedLevels, blank
from stages.simulators.vocabulary import Vocabulary

Simulate = Callable[[np.ndarray, np.ndarray, Sequence[str | None]], SimulatedLevels]


@contextmanager
def open_simulator(recordings: Recordings, settings: Params, stage: str) -> Iterator[Simulate]:
    """Give a function (rows of the recordings, slots, explanations) -> levels; models and connections close with the block."""
    method = settings.simulate.method
    if method == "vocabulary":
        yield open_vocabulary(recordings, settings).simulate
    elif method == "token_table":
        yield partial(from_table, recordings)
    else:
        raise UserError(f"simulate.method {method} is not wired yet")


def from_table(recordings: Recordings, rows: np.ndarray, slots: np.ndarray, texts: Sequence[str | None]) -> SimulatedLevels:
    """The baseline as a simulator: what the explanation says plays no part, but a neuron without one gets no levels."""
    from stages.simulators.token_table import token_table_levels

    result = blank(len(rows), len(slots), recordings.corpus.shape[1], Status.NO_EXPLANATION)
    told = np.flatnonzero([text is not None for text in texts])
    result.levels[told] = token_table_levels(recordings, rows[told], slots)
    result.status[told] = OK
    return result


def open_vocabulary(recordings: Recordings, settings: Params) -> Vocabulary:
    """The vocabulary simulator; its model is loaded only when a phrase is not known yet."""
    chosen = settings.vocabulary
    prompt = settings.prompts.simulate[chosen.prompt]
    if not isinstance(prompt, ListPrompt):
        raise UserError(f"vocabulary.prompt: {chosen.prompt!r} has layout {prompt.layout}, expected list")
    return Vocabulary(recordings, Gains(settings.model(chosen.model, "vocabulary.model"), prompt), chosen)
