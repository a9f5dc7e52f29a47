"""One layer while excerpts stream by: strongest excerpts, random excerpts, moments and token sums, in bounded memory."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32, Float64, Int, Int64
from torch import Tensor

from stages.errors import UserError
from stages.subject.moments import Moments, from_powers, join, no_moments
from stages.subject.plan import LayerPlan
from stages.subject.strongest import BARRED, FLOAT16_MAX, keys_of, merge, no_keys

BLOCK = 1 << 17
"""Numbers worked on at once, so that they stay in the processor's cache."""


@dataclass(frozen=True)
class Batch:
    """Excerpts that go through the model together."""

    first: int
    """Number of the first excerpt."""
    tokens: Int[Tensor, "excerpt token"]
    entries: Int64[np.ndarray, " entry"]
    """Entries of the token table that occur in the batch."""
    rows: Int64[Tensor, " token"]
    """For every token of the batch its position in `entries`, or their number where it has none."""


@dataclass
class LayerState:
    """What is known of a layer's neurons so far."""

    keys: Int64[np.ndarray, "neuron top"]
    top: Float16[np.ndarray, "neuron top token"]
    random: Float16[np.ndarray, "neuron slot token"]
    firing: Int64[np.ndarray, " neuron"]
    sums: Float64[np.ndarray, "entry neuron"]
    """Sums of float16 activations: whole multiples of 2**-24, so adding them is exact and order does not matter."""
    clipped: Int64[np.ndarray, " one"]
    count: Int64[np.ndarray, " one"]
    mean: Float64[np.ndarray, " neuron"]
    central: Float64[np.ndarray, "3 neuron"]

    @property
    def moments(self) -> Moments:
        """Of the shards joined so far."""
        return Moments(int(self.count[0]), self.mean, self.central)

    def add_moments(self, moments: Moments) -> None:
        """Join the next shard's; the order of shards is part of the result."""
        joined = join(self.moments, moments)
        self.count[0], self.mean, self.central = joined.count, joined.mean, joined.sums

    def arrays(self) -> dict[str, np.ndarray]:
        """By name, for keeping."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def empty_state(neurons: int, top: int, random: int, tokens: int, entries: int) -> LayerState:
    """Before the first excerpt."""
    none = no_moments(neurons)
    return LayerState(
        no_keys(neurons, top),
        np.zeros((neurons, top, tokens), np.float16),
        np.zeros((neurons, random, tokens), np.float16),
        np.zeros(neurons, np.int64),
        np.zeros((entries, neurons), np.float64),
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
        none.mean,
        none.sums,
    )


class LayerRecorder:
    """Takes one layer's activations batch by batch into a state."""

    def __init__(self, plan: LayerPlan, state: LayerState) -> None:
        self.plan, self.state = plan, state
        self.columns = None if len(plan.neurons) == plan.width else torch.from_numpy(plan.neurons.astype(np.int64))
        flat = plan.random.ravel()
        self.by_excerpt = np.argsort(flat, kind="stable")
        self.drawn = flat[self.by_excerpt]
        self.begin_shard()

    def begin_shard(self) -> None:
        """Start the sums of a shard."""
        self.count = 0
        self.shift: Tensor | None = None
        self.powers = np.zeros((4, len(self.plan.neurons)))

    def end_shard(self) -> Moments:
        """Moments of the shard that ends here."""
        shift = np.zeros(len(self.plan.neurons)) if self.shift is None else self.shift.double().cpu().numpy()
        moments = from_powers(self.count, shift, self.powers)
        self.begin_shard()
        return moments

    def see(self, batch: Batch, seen: Float[Tensor, "excerpt token neuron"]) -> None:
        """Take in the activations of a batch; raises UserError where they are not finite."""
        if self.columns is not None:
            seen = seen.index_select(2, self.columns.to(seen.device))
        seen = seen.float()
        maxima = self.sweep(batch, seen)
        self.keep(batch, seen, maxima)
        if len(batch.entries):
            self.add_tokens(batch, seen)

    def sweep(self, batch: Batch, seen: Float32[Tensor, "excerpt token neuron"]) -> Float32[np.ndarray, "excerpt neuron"]:
        """Largest activation of each excerpt; powers and firing are summed on the way, block by block."""
        excerpts, length, neurons = seen.shape
        if self.shift is None:
            self.shift = seen.mean(dim=(0, 1))
        maxima = torch.full((excerpts, neurons), -torch.inf, device=seen.device)
        sums = torch.zeros((5, neurons), dtype=torch.float64, device=seen.device)
        rows = max(1, min(length, BLOCK // neurons))
        together = max(1, BLOCK // (neurons * length))
        for first in range(0, excerpts, together):
            for row in range(0, length, rows):
                block = seen[first : first + together, row : row + rows]
                peaks = maxima[first : first + together]
                torch.maximum(peaks, block.amax(dim=1), out=peaks)
                sums += block_sums(block.flatten(0, 1), self.shift)
        found = sums.cpu().numpy()
        if not np.isfinite(found).all():
            self.complain(batch, seen)
        self.powers += found[:4]
        self.count += excerpts * length
        self.state.firing += found[4].astype(np.int64)
        if np.sqrt(found[1].max()) + self.shift.abs().max().item() > FLOAT16_MAX:
            self.state.clipped += int((seen.abs() > FLOAT16_MAX).sum())
        return np.asarray(maxima.cpu().numpy())

    def complain(self, batch: Batch, seen: Float32[Tensor, "excerpt token neuron"]) -> None:
        """Say where the activations are not finite; sums that alone overflowed are too large for the statistics."""
        wrong = ~torch.isfinite(seen).all(dim=(1, 2)).cpu()
        where = f" on excerpt {batch.first + int(wrong.int().argmax())}" if wrong.any() else ""
        raise UserError(
            f"layer {self.plan.layer} gives NaN or infinite activations{where}; try subject.dtype float32 or leave the layer out"
        )

    def keep(self, batch: Batch, seen: Float32[Tensor, "excerpt token neuron"], maxima: Float32[np.ndarray, "excerpt neuron"]) -> None:
        """Copy the activations of excerpts that are among a neuron's random or, so far, strongest ones."""
        numbers = batch.first + np.arange(len(maxima))
        low, high = np.searchsorted(self.drawn, [batch.first, batch.first + len(maxima)])
        neurons, slots = np.divmod(self.by_excerpt[low:high], self.plan.random.shape[1])
        excerpts = self.drawn[low:high] - batch.first
        self.state.random[neurons, slots] = pick(seen, excerpts, neurons)
        keys = keys_of(np.clip(maxima, -FLOAT16_MAX, FLOAT16_MAX).T, numbers)  # (neuron, excerpt)
        keys[neurons, excerpts] = BARRED
        changed = merge(self.state.keys, keys)
        self.state.top[changed.neurons, changed.places] = pick(seen, changed.arrived, changed.neurons)

    def add_tokens(self, batch: Batch, seen: Float32[Tensor, "excerpt token neuron"]) -> None:
        """Add activations to the sums of their tokens."""
        flat = seen.flatten(0, 1).clamp(-FLOAT16_MAX, FLOAT16_MAX).half().float()
        partial = torch.zeros((len(batch.entries) + 1, seen.shape[2]), device=seen.device)
        partial.index_add_(0, batch.rows.to(seen.device), flat)
        self.state.sums[batch.entries] += partial[:-1].double().cpu().numpy()


def block_sums(block: Float32[Tensor, "token neuron"], shift: Float32[Tensor, " neuron"]) -> Float64[Tensor, "5 neuron"]:
    """Sums of the first four powers of the deviation from `shift`, and how many activations are above zero."""
    firing = (block > 0).sum(dim=0, dtype=torch.float32)
    one = block - shift
    two = one * one
    first, second = one.sum(dim=0), two.sum(dim=0)
    third = one.mul_(two).sum(dim=0)
    fourth = two.mul_(two).sum(dim=0)
    return torch.stack([first, second, third, fourth, firing]).double()


def pick(
    seen: Float32[Tensor, "excerpt token neuron"], excerpts: Int[np.ndarray, " pair"], neurons: Int[np.ndarray, " pair"]
) -> Float16[np.ndarray, "pair token"]:
    """The activations of pairs of excerpt and neuron, clipped to float16."""
    where = (torch.from_numpy(np.ascontiguousarray(excerpts)).to(seen.device), torch.from_numpy(neurons).to(seen.device))
    found = seen[where[0].long(), :, where[1].long()]
    return np.asarray(found.clamp_(-FLOAT16_MAX, FLOAT16_MAX).half().cpu().numpy())
