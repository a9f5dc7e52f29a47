"""Simulate sentences on texts of any length that are in no recordings, each pair by itself."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float64

from neurogloss.artifacts.recordings import NEURONS, Kind, Recordings, Slots, Split
from neurogloss.artifacts.status import CODES, Status
from neurogloss.config.models import ModelParams
from neurogloss.config.params import Params
from neurogloss.llm.client import OpenClient
from neurogloss.llm.request import Client
from neurogloss.simulators.opening import open_simulator


class Pair(NamedTuple):
    """A sentence and the text that it is simulated on."""

    explanation: str
    pieces: tuple[bytes, ...]
    """Tokens of the text; at least one."""


class Simulated(NamedTuple):
    """Levels of one pair, 0..10, NaN where the status is not ok."""

    levels: Float64[np.ndarray, " token"]
    status: Status


def simulate_pairs(pairs: Sequence[Pair], params: Params, stage: str, opened: OpenClient) -> list[Simulated]:
    """Each pair in the way that the params choose. A model is opened once, whatever the lengths of the texts."""
    found: list[Simulated] = [Simulated(np.empty(0), Status.NO_EXPLANATION)] * len(pairs)
    places: dict[int, list[int]] = {}
    for place, pair in enumerate(pairs):
        places.setdefault(len(pair.pieces), []).append(place)
    with ExitStack() as stack:
        once = opened_once(stack, opened)
        for tokens, here in sorted(places.items()):
            rows: dict[tuple[bytes, ...], int] = {}
            for place in here:
                rows.setdefault(pairs[place].pieces, len(rows))
            recordings = as_recordings(list(rows), tokens, [rows[pairs[place].pieces] for place in here])
            with open_simulator(recordings, params, stage, once) as simulate:
                result = simulate(np.arange(len(here)), np.array([0]), [pairs[place].explanation for place in here])
            for place, values, code in zip(here, result.levels[:, 0], result.status[:, 0], strict=True):
                found[place] = Simulated(np.asarray(values, np.float64), CODES[code])
    return found


def opened_once(stack: ExitStack, opened: OpenClient) -> OpenClient:
    """Clients that stay open as long as the stack, so that a model is loaded once."""
    clients: dict[str, Client] = {}

    @contextmanager
    def once(name: str, model: ModelParams, stage: str) -> Iterator[Client]:
        if name not in clients:
            clients[name] = stack.enter_context(opened(name, model, stage))
        yield clients[name]

    return once


def as_recordings(corpus: list[tuple[bytes, ...]], tokens: int, rows: list[int]) -> Recordings:
    """Recordings in which each pair of a sentence and an excerpt is a neuron with one excerpt; what simulators do not read is empty."""
    vocabulary = sorted({piece for excerpt in corpus for piece in excerpt})
    number = {piece: place for place, piece in enumerate(vocabulary)}
    count, layers = len(rows), np.zeros(len(rows), np.int32)
    return Recordings(
        layers=layers,
        indices=np.arange(count, dtype=np.int32),
        statistics=NEURONS.empty_table(),
        peaks=np.ones(count),
        slots=Slots((Kind.TOP,), (Split.SCORE,)),
        corpus=np.array([[number[piece] for piece in excerpt] for excerpt in corpus], np.int32).reshape(len(corpus), tokens),
        documents=pa.table({"document": [""] * len(corpus), "start": [0] * len(corpus)}),
        vocabulary=vocabulary,
        excerpts=np.array(rows, np.int32).reshape(count, 1),
        activations=np.zeros((0, 1, tokens), np.float16),
        table_tokens=np.empty(0, np.int32),
        table_counts=np.empty(0, np.int32),
        token_means=np.empty((count, 0), np.float16),
        about={},
    )
