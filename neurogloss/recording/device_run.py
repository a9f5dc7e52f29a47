"""record where the subject is on a GPU: everything is kept and updated there; what is finished goes to disk while the next layers run."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from tqdm import tqdm

from neurogloss.artifacts.recordings import Slots
from neurogloss.config.environment import recorder, threads
from neurogloss.config.record import RecordParams
from neurogloss.corpus.windows import Excerpts
from neurogloss.recording.assembly import Assembly
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.device_finish import Kept, table_on_device, take_home
from neurogloss.recording.device_memory import Room, device_passes, room
from neurogloss.recording.device_state import bytes_per_unit
from neurogloss.recording.device_stream import DeviceJob, place_of, stream
from neurogloss.recording.layer import LayerState
from neurogloss.recording.layers import LayerPlan, TokenTable
from neurogloss.recording.moments import Moments
from neurogloss.subject.device import device, give_back
from neurogloss.subject.model import Subject

WRITERS = 8
"""Layers whose statistics are taken at the same time, at most: so many lie in the processor's memory."""


def on_device() -> bool:
    """Whether to record on the device: wherever it is not the processor, and there, too, where NEUROGLOSS_RECORDER asks for it."""
    return recorder() == "device" or torch.device(device()).type != "cpu"


def record_on_device(
    subject: Subject,
    excerpts: Excerpts,
    plans: Sequence[LayerPlan],
    table: TokenTable,
    params: RecordParams,
    slots: Slots,
    scratch: Scratch,
    assembly: Assembly,
) -> None:
    """Record the layers that are not in the assembly yet, pass by pass."""
    places = [place_of(subject, plan.layer) for plan in plans]
    dealt = deal(subject, places, excerpts.tokens.shape[1])
    each = bytes_per_unit(params.top, params.random, excerpts.tokens.shape[1], len(table.tokens))
    finished = frozenset(assembly.finished)
    tables = {place: table_on_device(excerpts, table, slots, place) for place in dict.fromkeys(places)}

    def layers() -> Iterator[Kept]:
        for run in device_passes(plans, places, each, dealt.states):
            group = plans[run.start : run.stop]
            if all(plan.layer in finished for plan in group):
                continue
            job = DeviceJob(excerpts, group, places[run.start : run.stop], table, params.top, range(len(excerpts.tokens)))
            with progress_bar(job) as progress:
                states = stream(subject, job, dealt.excerpts, scratch, progress)
            for plan in group:
                state = states.pop(0)
                if plan.layer not in finished:
                    yield take_home(plan, state, slots, tables[state.keys.device])
                del state
            give_back(places)

    write_behind(layers(), slots, assembly)


def deal(subject: Subject, places: Sequence[torch.device], length: int) -> Room:
    """The memory of the subject's devices."""
    model = getattr(subject, "model", None)
    config = model.config.get_text_config() if model is not None else None
    inner = getattr(config, "intermediate_size", None) or 4 * getattr(config, "hidden_size", 0)  # What is recorded may be narrower.
    return room(places, max(inner, *subject.held), length, getattr(model, "dtype", torch.float32).itemsize)


def write_behind(layers: Iterator[Kept], slots: Slots, assembly: Assembly) -> None:
    """Take statistics of layers and write them, in their order, on threads of their own while the next ones are recorded."""
    count = min(WRITERS, threads())
    waiting = deque[Future[None]]()

    def write(layer: int, finishing: "Future[Any]") -> None:
        assembly.add(layer, finishing.result())

    with ThreadPoolExecutor(1) as writer, ThreadPoolExecutor(count) as pool:
        for kept in layers:
            waiting.append(writer.submit(write, kept.plan.layer, pool.submit(kept.result, slots)))
            while len(waiting) > count + 1:
                waiting.popleft().result()
        while waiting:
            waiting.popleft().result()


@contextmanager
def progress_bar(job: DeviceJob) -> Iterator[Callable[[int], Any]]:
    """Shows the tokens of a pass; call it with the number of excerpts that are done."""
    tokens = job.excerpts.tokens
    layers = f"record layers {job.plans[0].layer}-{job.plans[-1].layer}"
    with tqdm(total=tokens.size, desc=layers, unit=" tokens") as bar:
        yield lambda done: bar.update(done * tokens.shape[1] - bar.n)


def part_on_device(
    subject: Subject, excerpts: Excerpts, plans: Sequence[LayerPlan], table: TokenTable, top: int, run: range
) -> tuple[list[LayerState], list[Moments]]:
    """What some neighbouring excerpts give, for a worker of a cluster: states as the processor's loops keep them, and moments."""
    places = [place_of(subject, plan.layer) for plan in plans]
    job = DeviceJob(excerpts, plans, places, table, top, run)
    states = stream(subject, job, deal(subject, places, excerpts.tokens.shape[1]).excerpts, None, lambda _: None)
    count = len(run) * excerpts.tokens.shape[1]
    return [state.on_host() for state in states], [state.moments(count) for state in states]
