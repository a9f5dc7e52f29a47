"""The pass over the excerpts: shard by shard through the subject, each layer into its state."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int32
from tqdm import tqdm

from stages.engine import map_shards, workers
from stages.machine import engine, threads
from stages.subject.checkpoint import Scratch
from stages.subject.layer import Batch, LayerRecorder, LayerState, empty_state
from stages.subject.model import Subject, Visit
from stages.subject.moments import Moments
from stages.subject.plan import BATCH_TOKENS, SHARD_BATCHES, LayerPlan, TokenTable
from stages.subject.seen import Listed

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
        order = np.argsort(entries, kind="stable")
        order = order[np.count_nonzero(entries < 0) :]  # Those that are not in the table come first.
        present, starts = np.unique(entries[order], return_index=True)
        starts = np.append(starts, len(order))
        yield Batch(start, torch.from_numpy(part.astype(np.int64)), Listed(present.astype(np.int64), order, starts))


@dataclass(frozen=True)
class Job:
    """What all shards of a pass share."""

    loader: Callable[[], Subject]
    tokens: Int32[np.ndarray, "excerpt token"]
    plans: Sequence[LayerPlan]
    table: TokenTable
    top: int


class Part(NamedTuple):
    """What a run of shards gave."""

    states: list[LayerState]
    moments: list[list[Moments]]
    """Of each layer in each shard: joining them is the one step whose order counts."""


def empty_states(job: Job) -> list[LayerState]:
    """One state per planned layer, before the first excerpt."""
    length, entries = job.tokens.shape[1], len(job.table.tokens)
    return [empty_state(len(plan.neurons), job.top, plan.random.shape[1], length, entries) for plan in job.plans]


def stream(subject: Subject, job: Job, states: list[LayerState], scratch: Scratch) -> None:
    """Fill the states with all excerpts, going on where a killed run stopped.

    On another engine than the local one, runs of shards go to its workers; the result is the same to the last bit.
    """
    layers = [plan.layer for plan in job.plans]
    name, size, count = f"layers-{layers[0]}-{layers[-1]}", shard_size(job.tokens.shape[1]), len(job.tokens)
    start = restore(scratch, name, states)
    bar = tqdm(total=job.tokens.size, initial=start * job.tokens.shape[1], desc=f"record layers {layers[0]}-{layers[-1]}", unit=" tokens")
    with bar, ThreadPoolExecutor(threads()) as pool:
        if engine() == "local":
            recorders = make_recorders(job, states, pool)
            for first in range(start, count, size):
                for state, moments in zip(states, run_shard(subject, job, recorders, first, bar.update), strict=True):
                    state.add_moments(moments)
                keep(scratch, name, states, first + size, count)
            return
        runs = split_runs(range(start, count, size), 2 * workers())
        for run, part in zip(runs, map_shards(run_part, job, runs), strict=True):
            last = min(run[-1] + size, count)
            for plan, state, other in zip(job.plans, states, part.states, strict=True):
                state.take(other, plan, range(run[0], last))
            for shard in part.moments:
                for state, moments in zip(states, shard, strict=True):
                    state.add_moments(moments)
            bar.update((last - run[0]) * job.tokens.shape[1])
            keep(scratch, name, states, last, count)


def run_shard(
    subject: Subject, job: Job, recorders: Mapping[int, LayerRecorder], first: int, progress: Callable[[int], Any]
) -> list[Moments]:
    """Send one shard through the subject into the recorders; the shard's moments, layer by layer."""
    for batch in batches(job.tokens, job.table, first):
        subject.activations(batch.tokens, list(recorders), visitor(recorders, batch))
        progress(batch.tokens.numel())
    return [recorder.end_shard() for recorder in recorders.values()]


def run_part(job: Job, shards: range) -> Part:
    """A run of shards on a worker."""
    subject = loaded(job.loader)
    states = empty_states(job)
    with ThreadPoolExecutor(threads()) as pool:
        recorders = make_recorders(job, states, pool)
        return Part(states, [run_shard(subject, job, recorders, first, lambda _: None) for first in shards])


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


def make_recorders(job: Job, states: Sequence[LayerState], pool: Executor) -> dict[int, LayerRecorder]:
    """One recorder per layer."""
    return {plan.layer: LayerRecorder(plan, state, pool, threads()) for plan, state in zip(job.plans, states, strict=True)}


def keep(scratch: Scratch, name: str, states: Sequence[LayerState], done: int, count: int) -> None:
    """Save the states now and then, but not at the end."""
    if scratch.due() and done < count:
        scratch.save(name, named(states), {"next": done})


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
