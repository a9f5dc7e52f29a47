"""The pass over the excerpts: shard by shard through the subject, each layer into its state."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int32
from tqdm import tqdm

from stages.machine import threads
from stages.subject.checkpoint import Scratch
from stages.subject.layer import Batch, LayerRecorder, LayerState, empty_state
from stages.subject.model import Subject, Visit
from stages.subject.plan import BATCH_TOKENS, SHARD_BATCHES, LayerPlan, TokenTable

logger = logging.getLogger(__name__)


def shard_size(length: int) -> int:
    """Excerpts in a shard."""
    return batch_size(length) * SHARD_BATCHES


def batch_size(length: int) -> int:
    """Excerpts in a forward pass."""
    return max(1, BATCH_TOKENS // length)


def batches(tokens: Int32[np.ndarray, "excerpt token"], table: TokenTable, first: int) -> Iterator[Batch]:
    """The batches of the shard that begins at excerpt `first`."""
    size = batch_size(tokens.shape[1])
    last = min(len(tokens), first + shard_size(tokens.shape[1]))
    for start in range(first, last, size):
        part = tokens[start : min(last, start + size)]
        entries = table.entries(part.ravel())
        present = np.unique(entries[entries >= 0])
        rows = np.where(entries >= 0, np.searchsorted(present, entries), len(present))
        yield Batch(start, torch.from_numpy(part.astype(np.int64)), present, torch.from_numpy(rows))


def empty_states(plans: Sequence[LayerPlan], top: int, tokens: Int32[np.ndarray, "excerpt token"], table: TokenTable) -> list[LayerState]:
    """One state per planned layer, before the first excerpt."""
    return [empty_state(len(plan.neurons), top, plan.random.shape[1], tokens.shape[1], len(table.tokens)) for plan in plans]


def stream(
    subject: Subject,
    tokens: Int32[np.ndarray, "excerpt token"],
    plans: Sequence[LayerPlan],
    table: TokenTable,
    states: list[LayerState],
    scratch: Scratch,
) -> None:
    """Fill the states of these layers with all excerpts, going on where a killed run stopped."""
    name = f"layers-{plans[0].layer}-{plans[-1].layer}"
    start = restore(scratch, name, states)
    layers, size = [plan.layer for plan in plans], shard_size(tokens.shape[1])
    bar = tqdm(total=tokens.size, initial=start * tokens.shape[1], desc=f"record layers {layers[0]}-{layers[-1]}", unit=" tokens")
    with bar, ThreadPoolExecutor(threads()) as workers:
        recorders = {plan.layer: LayerRecorder(plan, state, workers) for plan, state in zip(plans, states, strict=True)}
        for first in range(start, len(tokens), size):
            for batch in batches(tokens, table, first):
                subject.activations(batch.tokens, layers, visitor(recorders, batch))
                bar.update(batch.tokens.numel())
            for recorder in recorders.values():
                recorder.state.add_moments(recorder.end_shard())
            if scratch.due() and first + size < len(tokens):
                scratch.save(name, named(states), {"next": first + size})


def visitor(recorders: Mapping[int, LayerRecorder], batch: Batch) -> Visit:
    """Hands each layer's activations of this batch to its recorder."""
    return lambda layer, seen: recorders[layer].see(batch, seen)


def named(states: Sequence[LayerState]) -> dict[str, np.ndarray]:
    """All arrays of all states, by name."""
    return {f"{place}-{label}": array for place, state in enumerate(states) for label, array in state.arrays().items()}


def restore(scratch: Scratch, name: str, states: list[LayerState]) -> int:
    """Put what an earlier run kept into the states; the number of the next excerpt."""
    kept = scratch.load(name)
    if kept is None:
        return 0
    arrays, progress = kept
    for place, state in enumerate(states):
        for label in state.arrays():
            setattr(state, label, arrays[f"{place}-{label}"])
    logger.info("going on at excerpt %s", progress["next"])
    return int(progress["next"])
