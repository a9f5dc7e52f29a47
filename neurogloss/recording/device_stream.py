"""The pass over the excerpts on a device: batch by batch through the subject, each layer into its state there.

The host runs ahead of the device, prepares the next batch meanwhile, and waits for it only every `CHECKED` batches.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurogloss.corpus.windows import Excerpts
from neurogloss.errors import UserError
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.device_ops import LOWEST_ID, Operations, TorchOperations
from neurogloss.recording.device_state import DeviceBatch, DeviceRecorder, DeviceState, empty_device_state, upload
from neurogloss.recording.layers import LayerPlan, TokenTable
from neurogloss.subject.device import device, give_back, out_of_memory
from neurogloss.subject.model import Subject

logger = logging.getLogger(__name__)

CHECKED = 8
"""Batches after which the host waits for the device and looks whether all activations were finite."""


@dataclass(frozen=True)
class DeviceJob:
    """One pass: some layers over a run of excerpts."""

    excerpts: Excerpts
    plans: Sequence[LayerPlan]
    places: Sequence[torch.device]
    """Where each layer is."""
    table: TokenTable
    top: int
    run: range
    """Of excerpts."""

    def empty(self) -> list[DeviceState]:
        """States before the first excerpt; UserError where the device has no room for them."""
        length, entries = self.excerpts.tokens.shape[1], len(self.table.tokens)
        try:
            return [
                empty_device_state(len(plan.neurons), self.top, plan.random.shape[1], length, entries, place)
                for plan, place in zip(self.plans, self.places, strict=True)
            ]
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        layers = f"{self.plans[0].layer} to {self.plans[-1].layer}"
        raise UserError(
            f"{self.places[0]} has no memory for what is kept of layers {layers}; end what else uses it, or set "
            "NEUROGLOSS_DEVICE_MEMORY_MB to what is free, record.table_tokens or record.top to less"
        )


def stream(subject: Subject, job: DeviceJob, size: int, scratch: Scratch | None, progress: Callable[[int], Any]) -> list[DeviceState]:
    """The states after all excerpts, `size` a batch, going on where a killed run stopped.

    Where the device runs out of memory the pass is taken up again from what was kept, with batches of half the size.
    """
    while True:
        try:
            return attempt(subject, job, size, scratch, progress)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        if size == 1:
            raise UserError(
                f"{job.places[0]} has no memory for a batch of one excerpt; end what else uses it, set NEUROGLOSS_DEVICE_MEMORY_MB "
                "to what is free, or record.tokens to less"
            )
        size = -(-size // 2)
        give_back(job.places)
        logger.warning("%s has no memory left; going on with batches of %s excerpts", job.places[0], size)


def attempt(subject: Subject, job: DeviceJob, size: int, scratch: Scratch | None, progress: Callable[[int], Any]) -> list[DeviceState]:
    """The same, as long as there is memory."""
    states = job.empty()
    name = f"device-layers-{job.plans[0].layer}-{job.plans[-1].layer}"
    start, size = restore(scratch, name, states, size) if scratch else (0, size)
    start = max(start, job.run.start)
    progress(start)
    operations, begun, tokens_to = operations_on(job.places[0]), start > job.run.start, place_of(subject)
    recorders = {plan.layer: DeviceRecorder(plan, state, begun, operations) for plan, state in zip(job.plans, states, strict=True)}
    for number, batch in enumerate(prepared(job, start, size), 1):
        run_batch(subject, recorders, batch, upload(batch.tokens, tokens_to))
        done = batch.first + len(batch.tokens)
        progress(done)
        due = scratch is not None and scratch.due() and done < job.run.stop
        if due or number % CHECKED == 0 or done == job.run.stop:
            check(job, states)
        if due and scratch is not None:
            scratch.save(name, Home(states), {"next": done, "batch": size})
    return states


def run_batch(subject: Subject, recorders: Mapping[int, DeviceRecorder], batch: DeviceBatch, tokens: Tensor) -> None:
    """Send a batch through the subject, each layer into its state."""

    def visit(layer: int, seen: Tensor) -> None:
        recorders[layer].see(batch, seen)

    subject.activations(tokens, list(recorders), visit)


def prepared(job: DeviceJob, start: int, size: int) -> Iterator[DeviceBatch]:
    """The batches from excerpt `start` on, each made ready while the one before it is worked on."""
    last: DeviceBatch | None = None
    for first in range(start, job.run.stop, size):
        part = slice(first, min(job.run.stop, first + size))
        batch = DeviceBatch(first, job.excerpts.tokens[part].astype(np.int64), job.excerpts.held_out[part], job.table)
        for place in dict.fromkeys(job.places):
            batch.on(place)
        if last is not None:
            yield last
        last = batch
    if last is not None:
        yield last


def place_of(subject: Subject, layer: int | None = None) -> torch.device:
    """Where a layer is, or without one where the subject takes its tokens; the run's device for a subject without weights."""
    model = getattr(subject, "model", None)
    if model is None:
        return torch.device(device())
    weight = None if layer is None else next(model.get_submodule(subject.sites[layer]).parameters(), None)
    return torch.device(model.device if weight is None else weight.device)


def check(job: DeviceJob, states: Sequence[DeviceState]) -> None:
    """Wait for the device; raise UserError where a layer's activations are not finite."""
    for place in dict.fromkeys(job.places):
        here = [(plan.layer, state.flags[1]) for plan, state in zip(job.plans, states, strict=True) if state.flags.device == place]
        layers, flags = zip(*here, strict=True)
        for layer, excerpt in zip(layers, torch.stack(flags).tolist(), strict=True):
            if excerpt != LOWEST_ID:
                raise UserError(
                    f"layer {layer} gives NaN or infinite activations on excerpt {excerpt}; "
                    "try subject.dtype float32 or leave the layer out"
                )


class Home(Mapping[str, np.ndarray]):
    """All arrays of all states by name, each taken home when it is asked for: they need not fit into the processor's memory."""

    def __init__(self, states: Sequence[DeviceState]) -> None:
        self.found = {f"{place}-{entry.name}": (state, entry.name) for place, state in enumerate(states) for entry in fields(state)}

    def __getitem__(self, label: str) -> np.ndarray:
        state, name = self.found[label]
        return np.asarray(getattr(state, name).cpu().numpy())

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)


def restore(scratch: Scratch, name: str, states: Sequence[DeviceState], size: int) -> tuple[int, int]:
    """Put what an earlier run kept into the states; the number of the next excerpt, and the size of its batches, if there is room."""
    kept = scratch.load(name, mapped=True)
    if kept is None:
        return 0, size
    arrays, progress = kept
    for place, state in enumerate(states):
        for entry in fields(state):
            getattr(state, entry.name).copy_(torch.from_numpy(np.array(arrays[f"{place}-{entry.name}"])))
    logger.info("going on at excerpt %s", progress["next"])
    return int(progress["next"]), min(size, int(progress["batch"]))


def operations_on(place: torch.device) -> Operations:
    """Fused kernels on CUDA devices where Triton can compile them, else plain torch, and that is said."""
    if place.type != "cuda" or find_spec("triton") is None:
        return TorchOperations()
    from neurogloss.recording.device_triton import TritonOperations, unusable

    reason = unusable(place)
    if reason:
        logger.warning("Triton cannot compile kernels here (%s), so recording takes longer", reason)
        return TorchOperations()
    return TritonOperations()
