"""The pass over the excerpts: shard by shard through the subject, each layer into its state."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, reduce
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from neurogloss.config.environment import engine, memory_mb, threads
from neurogloss.corpus.windows import Excerpts
from neurogloss.memory import give_back_freed_memory
from neurogloss.parallel import map_shards, ordered_parallel_map, workers
from neurogloss.recording.batches import TokenGroups
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.device_run import on_device, part_on_device
from neurogloss.recording.layer import Batch, LayerRecorder, LayerState, empty_state
from neurogloss.recording.layers import BATCH_TOKENS, SHARD_BATCHES, LayerPlan, TokenTable
from neurogloss.recording.moments import Moments, join
from neurogloss.recording.sparse import SparseRecorder, SparseState, empty_sparse_state
from neurogloss.subject.device import device
from neurogloss.subject.model import Subject

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

LAST = 4
"""A batch over one of the last shard's."""
HELD = 12
"""Times the widest layer's activations in float32 that a stream takes: three are in use at once, the rest is smaller things and gaps."""
State = LayerState | SparseState
STREAMS = 8
"""Batches that go through the subject at the same time, at most: a layer takes one after the other into its state."""


def shard_size(length: int) -> int:
    """Excerpts in a shard."""
    return batch_size(length) * SHARD_BATCHES


def batch_size(length: int) -> int:
    """Excerpts in a forward pass."""
    return max(1, BATCH_TOKENS // length)


def batches(excerpts: Excerpts, table: TokenTable, first: int) -> Iterator[Batch]:
    """The batches of the shard that begins at excerpt `first`; the last shard's are smaller, so that streams end together."""
    tokens = excerpts.tokens
    last = min(len(tokens), first + shard_size(tokens.shape[1]))
    size = max(1, batch_size(tokens.shape[1]) // (LAST if last == len(tokens) else 1))
    for start in range(first, last, size):
        part = tokens[start : min(last, start + size)]
        held_out = excerpts.held_out[start : start + len(part)]
        entries = np.where(held_out[:, None], -1, table.entries(part)).ravel()
        order = np.argsort(entries, kind="stable")
        order = order[np.count_nonzero(entries < 0) :]  # What is in no table comes first.
        present, starts = np.unique(entries[order], return_index=True)
        starts = np.append(starts, len(order))
        groups = TokenGroups(present.astype(np.int64), order, starts)
        yield Batch(start, torch.from_numpy(part.astype(np.int64)), held_out.astype(np.int64), groups)


@dataclass(frozen=True)
class Job:
    """What all shards of a pass share."""

    loader: Callable[[], Subject]
    excerpts: Excerpts
    plans: Sequence[LayerPlan]
    table: TokenTable
    top: int


class Part(NamedTuple):
    """What a run of shards gave."""

    states: list[State]
    moments: list[list[Moments]]
    """Of each layer in each shard: joining them is the one step whose order counts."""


class BatchMoments(NamedTuple):
    """What is left of a batch when its activations are in the states."""

    batch: Batch
    moments: list[Moments]
    """Of each layer."""


def empty_states(job: Job) -> list[State]:
    """One state per planned layer, before the first excerpt."""
    length, entries = job.excerpts.tokens.shape[1], len(job.table.tokens)
    return [
        empty_sparse_state(plan, job.top, entries, job.excerpts.held_out, length)
        if plan.sparse
        else empty_state(len(plan.neurons), job.top, plan.random.shape[1], length, entries)
        for plan in job.plans
    ]


def recorder(plan: LayerPlan, state: State) -> LayerRecorder | SparseRecorder:
    """What takes a layer's values into its state."""
    return SparseRecorder(plan, state) if isinstance(state, SparseState) else LayerRecorder(plan, state)


def stream(subject: Subject, job: Job, states: list[State], scratch: Scratch) -> None:
    """Fill the states with all excerpts, going on where a killed run stopped.

    On another engine than the local one, runs of shards go to its workers; the result is the same to the last bit.
    """
    layers = [plan.layer for plan in job.plans]
    name, tokens = f"layers-{layers[0]}-{layers[-1]}", job.excerpts.tokens
    size, count = shard_size(tokens.shape[1]), len(tokens)
    start = restore(scratch, name, states)
    bar = tqdm(total=tokens.size, initial=start * tokens.shape[1], desc=f"record layers {layers[0]}-{layers[-1]}", unit=" tokens")
    with bar:
        if engine() == "local":
            left = deque(range(start, count, size))
            while left:
                add_moments(states, run_shards(subject, job, states, until(scratch.due, left), bar.update))
                keep(scratch, name, states, left[0] if left else count, count)
            return
        runs = split_runs(range(start, count, size), 2 * workers())
        for run, part in zip(runs, map_shards(run_part, job, runs), strict=True):
            last = min(run[-1] + size, count)
            for plan, state, other in zip(job.plans, states, part.states, strict=True):
                state.take(other, plan, range(run[0], last))  # type: ignore[arg-type]  # both are of the plan's kind
            add_moments(states, part.moments)
            bar.update((last - run[0]) * tokens.shape[1])
            keep(scratch, name, states, last, count)


def until(due: Callable[[], bool], left: deque[int]) -> Iterator[int]:
    """Take shards, at least one, until something else is due."""
    while left:
        yield left.popleft()
        if due():
            return


def run_shards(
    subject: Subject, job: Job, states: Sequence[State], shards: Iterable[int], progress: Callable[[int], Any]
) -> Iterator[list[Moments]]:
    """Send shards through the subject into the states; each shard's moments, layer by layer, in the order of the shards.

    Batches go side by side on threads of their own, which need not wait for each other as they do within a product.
    """
    recorders = {plan.layer: recorder(plan, state) for plan, state in zip(job.plans, states, strict=True)}

    def see(batch: Batch) -> BatchMoments:
        moments: dict[int, Moments] = {}

        def visit(layer: int, seen: Tensor) -> None:
            moments[layer] = recorders[layer].see(batch, seen)

        subject.activations(batch.tokens, list(recorders), visit)
        return BatchMoments(batch, [moments[layer] for layer in recorders])

    def told() -> Iterator[BatchMoments]:
        todo = (batch for first in shards for batch in batches(job.excerpts, job.table, first))
        for taken in on_streams(see, todo, subject.held):
            progress(taken.batch.tokens.numel())
            yield taken

    size = shard_size(job.excerpts.tokens.shape[1])
    for _, shard in groupby(told(), lambda taken: taken.batch.first // size):
        yield [reduce(join, moments) for moments in zip(*(taken.moments for taken in shard), strict=True)]
        give_back_freed_memory()  # The gaps between activations would become more and more.


def on_streams(work: Callable[[Item], Result], batches: Iterable[Item], widths: Sequence[int]) -> Iterator[Result]:
    """What a forward pass of each batch gives, in the order of the batches; they go side by side, and each has its share of the threads."""
    count = streams(widths)
    return ordered_parallel_map(work, batches, count, partial(torch.set_num_threads, threads() // count))


def streams(widths: Sequence[int]) -> int:
    """As many as threads, but not so many that they hold more than half of the memory; one on another device than the processor."""
    most = min(STREAMS, max(1, int(memory_mb() * 1e6 / 2 / held(widths)))) if device() == "cpu" else 1
    return threads() // -(-threads() // most)


def held(widths: Sequence[int]) -> int:
    """Bytes of memory that a stream takes, about."""
    return HELD * 4 * BATCH_TOKENS * max(widths) if device() == "cpu" else 0


def add_moments(states: Sequence[State], shards: Iterable[Sequence[Moments]]) -> None:
    """Join what shards gave, in their order."""
    for shard in shards:
        for state, moments in zip(states, shard, strict=True):
            state.add_moments(moments)


def run_part(job: Job, shards: range) -> Part:
    """A run of shards on a worker."""
    if on_device() and not any(plan.sparse for plan in job.plans):
        first, last = shards[0], min(shards[-1] + shard_size(job.excerpts.tokens.shape[1]), len(job.excerpts.tokens))
        found, moments = part_on_device(loaded(job.loader), job.excerpts, job.plans, job.table, job.top, range(first, last))
        return Part([*found], [moments])
    states = empty_states(job)
    return Part(states, list(run_shards(loaded(job.loader), job, states, shards, lambda _: None)))


@lru_cache(maxsize=1)
def loaded(loader: Callable[[], Subject]) -> Subject:
    """The subject in this worker, loaded once."""
    return loader()


def split_runs(shards: range, count: int) -> list[range]:
    """At most `count` runs of neighbouring shards.

    >>> split_runs(range(0, 70, 10), 3)
    [range(0, 30, 10), range(30, 60, 10), range(60, 70, 10)]
    """
    each = max(1, -(-len(shards) // count))
    return [shards[place : place + each] for place in range(0, len(shards), each)]


def keep(scratch: Scratch, name: str, states: Sequence[State], done: int, count: int) -> None:
    """Save the states now and then, but not at the end."""
    if scratch.due() and done < count:
        scratch.save(name, named(states), {"next": done})


def named(states: Sequence[State]) -> dict[str, np.ndarray]:
    """All arrays of all states, by name."""
    return {f"{place}-{label}": array for place, state in enumerate(states) for label, array in state.arrays().items()}


def restore(scratch: Scratch, name: str, states: list[State]) -> int:
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
