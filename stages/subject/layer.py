"""One layer while excerpts stream by: strongest excerpts, random excerpts, moments and token sums, in bounded memory."""

from concurrent.futures import Executor
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32, Float64, Int, Int64
from torch import Tensor

from stages.errors import UserError
from stages.subject import kernels
from stages.subject.moments import Moments, from_powers, join, no_moments
from stages.subject.plan import LayerPlan
from stages.subject.seen import Kept, Listed, Pairs, Seen, shown
from stages.subject.strongest import FLOAT16_MAX, no_keys


class NotFinite(Exception):  # noqa: N818  # becomes a UserError where the layer is known
    """Activations are NaN or infinite, or too large for the sums of their powers."""


@dataclass(frozen=True)
class Batch:
    """Excerpts that go through the model together."""

    first: int
    """Number of the first excerpt."""
    tokens: Int[Tensor, "excerpt token"]
    listed: Listed


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
        sources, neurons, places = kernels.merge(self.keys, np.where(other.keys >= 0, other.keys, kernels.BARRED))
        self.top[neurons, places] = other.top[neurons, sources]
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

    def __init__(self, plan: LayerPlan, state: LayerState, workers: Executor, parts: int) -> None:
        self.plan, self.state, self.workers = plan, state, workers
        self.columns = None if len(plan.neurons) == plan.width else torch.from_numpy(plan.neurons.astype(np.int64))
        self.shift = np.zeros(len(plan.neurons), np.float32)
        self.powers = np.zeros((4, len(plan.neurons)))
        borders = np.linspace(0, len(self.shift), parts + 1).astype(int).tolist()
        self.parts = [Part(self, first, stop) for first, stop in pairwise(borders) if first < stop]
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

        def see_part(part: Part) -> int:
            with torch.inference_mode():
                return part.see(batch, layer)

        layer = shown(seen)
        if not self.count:
            self.shift[:] = layer.centre()  # Here, because numpy adds up narrow arrays in another order.
        try:
            self.state.clipped += sum(self.workers.map(see_part, self.parts))
        except NotFinite as error:
            self.complain(batch, seen, error)
        self.count += seen.shape[0] * seen.shape[1]

    def complain(self, batch: Batch, seen: Float32[Tensor, "excerpt token neuron"], error: NotFinite) -> None:
        """Say where the activations are not finite; sums that alone overflowed are too large for the statistics."""
        wrong = ~torch.isfinite(seen).all(dim=(1, 2)).cpu()
        where = f" on excerpt {batch.first + int(wrong.int().argmax())}" if wrong.any() else ""
        raise UserError(
            f"layer {self.plan.layer} gives NaN or infinite activations{where}; try subject.dtype float32 or leave the layer out"
        ) from error


class Part:
    """Some neighbouring neurons of a layer, which have nothing to do with the others: one worker's share of a batch."""

    def __init__(self, layer: LayerRecorder, first: int, stop: int) -> None:
        self.layer, self.first, self.stop = layer, first, stop
        state = layer.state
        self.kept = Kept(state.keys[first:stop], state.top[first:stop].view(np.uint16), state.random[first:stop].view(np.uint16))
        random = layer.plan.random[first:stop]
        order = np.argsort(random.ravel(), kind="stable")
        self.drawn = random.ravel()[order].astype(np.int64)
        """The random excerpts of all of them, ascending."""
        self.takers = np.divmod(order, random.shape[1])
        """Whose each of them is: neuron and slot."""

    def see(self, batch: Batch, seen: Seen) -> int:
        """Take in a batch; how many activations float16 could not hold."""
        layer, mine = self.layer, slice(self.first, self.stop)
        shift = layer.shift[mine]
        low, high = np.searchsorted(self.drawn, [batch.first, batch.first + len(batch.tokens)])
        drawn = Pairs(self.drawn[low:high] - batch.first, *(taker[low:high] for taker in self.takers))
        sums = seen.take_in(self.first, shift, batch.first, drawn, self.kept)
        if not np.isfinite(sums).all():
            raise NotFinite
        layer.powers[:, mine] += sums[:4]
        layer.state.firing[mine] += sums[4].astype(np.int64)
        if len(batch.listed.entries):
            seen.add_tokens(self.first, self.stop, batch.listed, layer.state.sums)
        return seen.beyond(self.first, self.stop) if np.sqrt(sums[1].max()) + np.abs(shift).max() > FLOAT16_MAX else 0
