"""The simulator that the params name, as a function."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import FailureLimit
from neurogloss.config.models import ModelParams
from neurogloss.config.params import Params
from neurogloss.config.prompts import AllAtOncePrompt, AnySimulatePrompt, CompactPrompt, GeneratedPrompt, Reader, Vocabulary
from neurogloss.llm.client import OpenClient, open_client
from neurogloss.llm.request import Client
from neurogloss.phrases.levels import open_phrase_levels
from neurogloss.simulators import all_at_once, compact, generated, one_at_a_time, vocabulary
from neurogloss.simulators.choice import chosen_simulator
from neurogloss.simulators.reader import simulation as reading
from neurogloss.simulators.result import Simulate, SimulatedLevels


@contextmanager
def open_simulator(
    recordings: Recordings, params: Params, stage: str, opened: OpenClient = open_client, limit: FailureLimit | None = None
) -> Iterator[Simulate]:
    """The simulator that the params name, as a function; models and connections close with the block. `limit` may end what is asked."""
    chosen = chosen_simulator(params)
    if isinstance(chosen.prompt, Vocabulary):
        yield partial(vocabulary.simulate, open_phrase_levels(recordings, params))
    elif isinstance(chosen.prompt, Reader):
        yield partial(reading.simulate, recordings)
    else:
        model = params.model(chosen.model, chosen.asked_by)
        with opened(chosen.model, model, stage) as client:
            yield partial(asking, recordings, chosen.prompt, model, client, limit)


def asking(
    recordings: Recordings,
    prompt: AnySimulatePrompt,
    model: ModelParams,
    client: Client,
    limit: FailureLimit | None,
    rows: np.ndarray,
    slots: np.ndarray,
    texts: Sequence[str | None],
) -> SimulatedLevels:
    """A simulator that asks a language model, in the layout of its prompt."""
    if isinstance(prompt, AllAtOncePrompt):
        return all_at_once.simulate(recordings, rows, slots, list(texts), client, prompt, model, limit)
    if isinstance(prompt, CompactPrompt):
        return compact.simulate(recordings, rows, slots, list(texts), client, prompt, model, limit)
    if isinstance(prompt, GeneratedPrompt):
        return generated.simulate(recordings, rows, slots, list(texts), client, prompt, model, limit)
    return one_at_a_time.simulate(recordings, rows, slots, list(texts), client, prompt, model, limit)
