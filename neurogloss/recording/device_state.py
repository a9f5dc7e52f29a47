"""One layer on a device while excerpts stream by: strongest and random excerpts, moments, token sums, all kept and updated there."""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, Float32, Float64, Int64
from torch import Tensor

from neurogloss.recording.device_ops import LOWEST_ID, Listed, Operations, cut
from neurogloss.recording.layer import LayerState
from neurogloss.recording.layers import LayerPlan, TokenTable
from neurogloss.recording.moments import Moments, from_powers, no_moments


@dataclass
class DeviceState:
    """What is known of a layer's units so far."""

    keys: Int64[Tensor, "unit place"]
    """See strongest.py; those of held-out excerpts from the plan's border on."""
    top: Float16[Tensor, "place token unit"]
    random: Float16[Tensor, "unit slot token"]
    shift: Float32[Tensor, " unit"]
    """The mean over the first excerpt, near that over all."""
    powers: Float64[Tensor, "5 unit"]
    """Sums of the first four powers of the deviation from the shift, and of how many activations are above zero."""
    sums: Float64[Tensor, "entry unit"]
    """Of float16 activations, whole multiples of 2**-24: exact in any order."""
    flags: Int64[Tensor, " 2"]
    """Activations beyond float16; the first excerpt that is not finite."""

    def moments(self, count: int) -> Moments:
        """After `count` tokens."""
        shift, powers = self.shift.cpu().numpy().astype(np.float64), self.powers.cpu().numpy()
        return from_powers(count, shift, powers[:4])

    def on_host(self) -> LayerState:
        """As the processor's loops keep it, without moments."""
        none = no_moments(len(self.keys))
        return LayerState(
            self.keys.cpu().numpy(),
            self.top.permute(2, 0, 1).contiguous().cpu().numpy(),
            self.random.cpu().numpy(),
            self.powers[4].long().cpu().numpy(),
            self.sums.cpu().numpy(),
            self.flags[:1].cpu().numpy(),
            np.zeros(1, np.int64),
            none.mean,
            none.sums,
        )


def empty_device_state(units: int, top: int, random: int, tokens: int, entries: int, place: torch.device) -> DeviceState:
    """Before the first excerpt."""
    nobody = -1 - torch.arange(top, device=place)  # Keys below every real one, each different.
    return DeviceState(
        keys=nobody.repeat(units, 1),
        top=torch.zeros((top, tokens, units), dtype=torch.float16, device=place),
        random=torch.zeros((units, random, tokens), dtype=torch.float16, device=place),
        shift=torch.zeros(units, device=place),
        powers=torch.zeros((5, units), dtype=torch.float64, device=place),
        sums=torch.zeros((entries, units), dtype=torch.float64, device=place),
        flags=torch.tensor([0, LOWEST_ID], device=place),
    )


def bytes_per_unit(top: int, random: int, tokens: int, entries: int) -> int:
    """What a unit takes of the device."""
    return (top + random) * (2 * tokens + 32) + 8 * entries + 64


def upload(array: np.ndarray, place: torch.device) -> Tensor:
    """On the device, without waiting for it."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(place, non_blocking=True) if place.type == "cuda" else tensor.to(place)


@dataclass(frozen=True)
class DeviceBatch:
    """Excerpts that go through the model together."""

    first: int
    """Number of the first excerpt."""
    tokens: Int64[np.ndarray, "excerpt token"]
    held_out: Bool[np.ndarray, " excerpt"]
    table: TokenTable
    known: dict[torch.device, "BatchOnDevice"] = field(default_factory=dict)

    def on(self, place: torch.device) -> "BatchOnDevice":
        """What a layer on this device needs of it; made once."""
        if place not in self.known:
            self.known[place] = self.made(place)
        return self.known[place]

    def made(self, place: torch.device) -> "BatchOnDevice":
        """Order the tokens by their entry and send them there."""
        entries = np.where(self.held_out[:, None], -1, self.table.entries(self.tokens)).ravel()
        order = np.argsort(entries, kind="stable")
        order = order[np.count_nonzero(entries < 0) :]  # What is in no table comes first.
        present, starts = np.unique(entries[order], return_index=True)
        excerpts, positions = np.divmod(order, self.tokens.shape[1])
        listed = (excerpts, positions, entries[order], present, np.append(starts, len(order)))
        sides = (np.flatnonzero(self.held_out == side) for side in (False, True))
        open_rows, held_out_rows = (upload(rows, place) for rows in sides)
        return BatchOnDevice(open_rows, held_out_rows, Listed(*(upload(part.astype(np.int64), place) for part in listed)))


@dataclass(frozen=True)
class BatchOnDevice:
    """Which excerpts of the batch are held out and which not, and where its listed tokens are."""

    open_rows: Int64[Tensor, " open"]
    held_out_rows: Int64[Tensor, " held_out"]
    listed: Listed


class DeviceRecorder:
    """Takes one layer's activations batch by batch into a state, in the order of the batches, without waiting for the device."""

    def __init__(self, plan: LayerPlan, state: DeviceState, started: bool, operations: Operations) -> None:
        self.plan, self.state, self.started, self.operations = plan, state, started, operations
        place = state.keys.device
        self.columns = None if len(plan.neurons) == plan.width else upload(plan.neurons.astype(np.int64), place)
        drawn = upload(plan.random.ravel().astype(np.int64), place)
        order = drawn.argsort(stable=True)
        self.drawn = drawn[order]
        """The random excerpts of all units, ascending."""
        self.units, self.slots = order // max(1, plan.random.shape[1]), order % max(1, plan.random.shape[1])
        self.before: Int64[np.ndarray, " excerpt"] = np.append(0, np.cumsum(np.bincount(plan.random.ravel())))
        """How many of them are before each excerpt."""

    def see(self, batch: DeviceBatch, seen: Float[Tensor, "excerpt token unit"]) -> None:
        """Take in the activations of a batch."""
        values = seen if self.columns is None else seen.index_select(2, self.columns)
        values = values if values.stride(2) == 1 else values.contiguous()
        state, here = self.state, batch.on(values.device)
        if not self.started:
            self.started = True
            beginning = values[0].float()  # About its own first token, so that a constant unit deviates from its mean by nothing.
            state.shift.copy_(beginning[0] + (beginning - beginning[0]).mean(dim=0))
        strengths, powers = self.operations.sweep(values, state.shift, batch.first, state.flags)
        state.powers += powers.sum(dim=0, dtype=torch.float64)
        low, high = (int(self.before[min(number, len(self.before) - 1)]) for number in (batch.first, batch.first + len(batch.tokens)))
        if low < high:
            excerpts, units = self.drawn[low:high] - batch.first, self.units[low:high]
            state.random[units, self.slots[low:high]] = cut(values[excerpts, :, units])
            strengths[excerpts, units] = -1
        border = self.plan.border
        for rows, places in ((here.open_rows, slice(0, border)), (here.held_out_rows, slice(border, state.keys.shape[1]))):
            if len(rows) and places.start < places.stop:
                self.operations.keep(values, strengths, rows, batch.first, state.keys[:, places], state.top[places])
        if len(here.listed.entries):
            self.operations.add_tokens(values, here.listed, state.sums)
