"""One layer while excerpts stream by: strongest excerpts, random excerpts, moments and token sums, in bounded memory."""

from concurrent.futures import Executor
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32, Float64, Int, Int64
from torch import Tensor

from stages.errors import UserError
from stages.subject.moments import Moments, from_powers, join, no_moments
from stages.subject.plan import LayerPlan
from stages.subject.strongest import FLOAT16_MAX, candidates, keys_of, merge, no_keys

BLOCK_ROWS = 64
"""Tokens worked on at once, so that they stay in the processor's cache; below 256, because firing is counted in bytes."""
CHUNK = 8
"""Excerpts that one worker sums; a constant, so that the sums do not depend on the number of workers."""


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
        self.count[0], self.mean[:], self.central[:] = joined.count, joined.mean, joined.sums  # In place: see LayerRecorder.

    def take(self, other: "LayerState", plan: LayerPlan, excerpts: range) -> None:
        """Add what another state learned from these later excerpts; its moments are joined apart, shard by shard."""
        neurons, places = np.nonzero(other.keys >= 0)
        changed = merge(self.keys, neurons, other.keys[neurons, places])
        self.top[changed.neurons, changed.places] = other.top[neurons[changed.sources], places[changed.sources]]
        drawn = (plan.random >= excerpts.start) & (plan.random < excerpts.stop)
        self.random[drawn] = other.random[drawn]
        self.firing += other.firing
        self.sums += other.sums
        self.clipped += other.clipped

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
    """Takes one layer's activations batch by batch into a state.

    Nothing that outlives a batch is allocated while one is worked on: small things between large ones keep the allocator from using a
    gap again, and memory would grow by a gap for each layer.
    """

    def __init__(self, plan: LayerPlan, state: LayerState, workers: Executor) -> None:
        self.plan, self.state, self.workers = plan, state, workers
        self.columns = None if len(plan.neurons) == plan.width else torch.from_numpy(plan.neurons.astype(np.int64))
        flat = plan.random.ravel()
        self.by_excerpt = np.argsort(flat, kind="stable")
        self.drawn = flat[self.by_excerpt]
        self.shift = np.zeros(len(plan.neurons), np.float32)
        self.powers = np.zeros((4, len(plan.neurons)))
        self.begin_shard()

    def begin_shard(self) -> None:
        """Start the sums of a shard."""
        self.count = 0
        self.shift[:] = 0
        self.powers[:] = 0

    def end_shard(self) -> Moments:
        """Moments of the shard that ends here."""
        moments = from_powers(self.count, self.shift.astype(np.float64), self.powers)
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

    def sweep(self, batch: Batch, seen: Float32[Tensor, "excerpt token neuron"]) -> Float16[np.ndarray, "excerpt neuron"]:
        """Largest activation of each excerpt; powers and firing are summed on the way."""
        if not self.count:
            self.shift[:] = seen.mean(dim=(0, 1)).cpu().numpy()
        maxima, sums = sweep_on_device(seen, torch.from_numpy(self.shift).to(seen.device)) if seen.is_cuda else self.sweep_in_cache(seen)
        if not np.isfinite(sums).all():
            self.complain(batch, seen)
        self.powers += sums[:4]
        self.count += seen.shape[0] * seen.shape[1]
        self.state.firing += sums[4].astype(np.int64)
        if np.sqrt(sums[1].max()) + np.abs(self.shift).max() > FLOAT16_MAX:
            self.state.clipped += int((seen.abs() > FLOAT16_MAX).sum())
        return np.asarray(maxima.clamp(-FLOAT16_MAX, FLOAT16_MAX).half().cpu().numpy())

    def sweep_in_cache(self, seen: Float32[Tensor, "excerpt token neuron"]) -> tuple[Tensor, Float64[np.ndarray, "5 neuron"]]:
        """The same on the processor, by several workers."""
        values, shift = seen.numpy(), self.shift
        chunks = [values[first : first + CHUNK] for first in range(0, len(values), CHUNK)]
        swept = list(self.workers.map(lambda chunk: sweep_chunk(chunk, shift), chunks))
        sums = np.zeros((5, values.shape[2]))
        for _, part in swept:
            sums += part
        return torch.from_numpy(np.concatenate([maxima for maxima, _ in swept])), sums

    def complain(self, batch: Batch, seen: Float32[Tensor, "excerpt token neuron"]) -> None:
        """Say where the activations are not finite; sums that alone overflowed are too large for the statistics."""
        wrong = ~torch.isfinite(seen).all(dim=(1, 2)).cpu()
        where = f" on excerpt {batch.first + int(wrong.int().argmax())}" if wrong.any() else ""
        raise UserError(
            f"layer {self.plan.layer} gives NaN or infinite activations{where}; try subject.dtype float32 or leave the layer out"
        )

    def keep(self, batch: Batch, seen: Float32[Tensor, "excerpt token neuron"], maxima: Float16[np.ndarray, "excerpt neuron"]) -> None:
        """Copy the activations of excerpts that are among a neuron's random or, so far, strongest ones."""
        low, high = np.searchsorted(self.drawn, [batch.first, batch.first + len(maxima)])
        neurons, slots = np.divmod(self.by_excerpt[low:high], self.plan.random.shape[1])
        drawn = self.drawn[low:high] - batch.first
        self.state.random[neurons, slots] = self.pick(seen, drawn, neurons)
        strong = candidates(self.state.keys, maxima)
        strong[drawn, neurons] = False
        arrived, rows = np.nonzero(strong)
        if len(rows):
            order = np.argsort(rows, kind="stable")
            arrived, rows = arrived[order], rows[order]
            changed = merge(self.state.keys, rows, keys_of(maxima[arrived, rows], batch.first + arrived))
            excerpts = arrived[changed.sources]
            order = np.argsort(excerpts, kind="stable")
            rows = changed.neurons[order]
            self.state.top[rows, changed.places[order]] = self.pick(seen, excerpts[order], rows)

    def pick(
        self, seen: Float32[Tensor, "excerpt token neuron"], excerpts: Int[np.ndarray, " pair"], neurons: Int[np.ndarray, " pair"]
    ) -> Float16[np.ndarray, "pair token"]:
        """The activations of pairs of excerpt (ascending) and neuron, clipped to float16."""
        found = torch.empty((len(neurons), seen.shape[1]), dtype=torch.float16, device=seen.device)
        columns = torch.from_numpy(np.ascontiguousarray(neurons, np.int64)).to(seen.device)
        borders = np.searchsorted(excerpts, np.arange(len(seen) + 1)).tolist()

        def copy(chunk: range) -> None:
            with torch.inference_mode():
                for excerpt in chunk:
                    part = slice(borders[excerpt], borders[excerpt + 1])
                    found[part] = seen[excerpt].index_select(1, columns[part]).clamp_(-FLOAT16_MAX, FLOAT16_MAX).T

        list(self.workers.map(copy, [range(first, min(first + CHUNK, len(seen))) for first in range(0, len(seen), CHUNK)]))
        return np.asarray(found.cpu().numpy())

    def add_tokens(self, batch: Batch, seen: Float32[Tensor, "excerpt token neuron"]) -> None:
        """Add activations to the sums of their tokens."""
        flat, rows = seen.flatten(0, 1), batch.rows
        listed = torch.nonzero(rows < len(batch.entries)).flatten()
        if 2 * len(listed) < len(rows):  # Few tokens of the batch are in the table: the others need no rounding.
            flat, rows = flat.index_select(0, listed.to(seen.device)), rows[listed]
        flat = flat.clamp(-FLOAT16_MAX, FLOAT16_MAX).half().float()
        partial = torch.zeros((len(batch.entries) + 1, seen.shape[2]), device=seen.device)
        partial.index_add_(0, rows.to(seen.device), flat)
        self.state.sums[batch.entries] += partial[:-1].double().cpu().numpy()


def sweep_chunk(
    values: Float32[np.ndarray, "excerpt token neuron"], shift: Float32[np.ndarray, " neuron"]
) -> tuple[Float32[np.ndarray, "excerpt neuron"], Float64[np.ndarray, "5 neuron"]]:
    """Largest activation of each excerpt, and sums of the first four powers of the deviation from `shift` and of how many are above zero.

    numpy, because torch would wake its threads for every step, which costs more than the step.
    """
    excerpts, length, neurons = values.shape
    rows = min(length, BLOCK_ROWS)
    one, two, above = np.empty((rows, neurons), np.float32), np.empty((rows, neurons), np.float32), np.empty((rows, neurons), bool)
    maxima, sums = np.full((excerpts, neurons), -np.inf, np.float32), np.zeros((5, neurons))
    for excerpt in range(excerpts):
        for row in range(0, length, rows):
            block = values[excerpt, row : row + rows]
            size = len(block)
            sums += block_sums(block, shift, one[:size], two[:size], above[:size])
            np.fmax(maxima[excerpt], np.fmax.reduce(block, axis=0), out=maxima[excerpt])
    return maxima, sums


def block_sums(
    block: Float32[np.ndarray, "token neuron"], shift: Float32[np.ndarray, " neuron"], one: np.ndarray, two: np.ndarray, above: np.ndarray
) -> Float32[np.ndarray, "5 neuron"]:
    """The sums of one block; the last three are room to work in."""
    sums = np.empty((5, block.shape[1]), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # What is not finite shows in the sums.
        np.subtract(block, shift, out=one)
        np.add.reduce(one, axis=0, out=sums[0])
        np.multiply(one, one, out=two)
        np.add.reduce(two, axis=0, out=sums[1])
        np.multiply(one, two, out=one)
        np.add.reduce(one, axis=0, out=sums[2])
        np.multiply(two, two, out=two)
        np.add.reduce(two, axis=0, out=sums[3])
        np.greater(block, 0, out=above)
        sums[4] = np.add.reduce(above.view(np.uint8), axis=0, dtype=np.uint8)
    return sums


def sweep_on_device(
    seen: Float32[Tensor, "excerpt token neuron"], shift: Float32[Tensor, " neuron"]
) -> tuple[Float32[Tensor, "excerpt neuron"], Float64[np.ndarray, "5 neuron"]]:
    """The same where activations are not in the processor's memory."""
    one = (seen - shift).flatten(0, 1)
    two = one * one
    sums = [one.sum(dim=0), two.sum(dim=0), (one * two).sum(dim=0), (two * two).sum(dim=0), (seen > 0).flatten(0, 1).sum(dim=0)]
    return seen.amax(dim=1), np.asarray(torch.stack([part.double() for part in sums]).cpu().numpy())
