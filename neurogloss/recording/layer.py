"""One layer while excerpts stream by: strongest excerpts, random excerpts, moments and token sums, in bounded memory."""

from dataclasses import dataclass, fields
from threading import Lock

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32, Float64, Int, Int64
from torch import Tensor

from neurogloss.errors import UserError
from neurogloss.recording import kernels
from neurogloss.recording.batches import ExcerptNeuronPairs, TokenGroups, layer_activations
from neurogloss.recording.layers import LayerPlan
from neurogloss.recording.moments import Moments, from_powers, join, no_moments
from neurogloss.recording.strongest import FLOAT16_MAX, no_keys


@dataclass(frozen=True)
class Batch:
    """Excerpts that go through the model together."""

    first: int
    """Number of the first excerpt."""
    tokens: Int[Tensor, "excerpt token"]
    sides: Int64[np.ndarray, " excerpt"]
    """1 for a held-out excerpt, else 0."""
    listed: TokenGroups


@dataclass
class LayerState:
    """What is known of a layer's neurons so far."""

    keys: Int64[np.ndarray, "neuron top"]
    """Those of held-out excerpts from the plan's border on."""
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
        joined = join(self.moments, moments)  # Copied, because small things kept between large ones leave gaps in memory.
        self.count[0], self.mean[:], self.central[:] = joined.count, joined.mean, joined.sums

    def take(self, other: "LayerState", plan: LayerPlan, excerpts: range) -> None:
        """Add what another state learned from these later excerpts; its moments are joined apart, shard by shard."""
        sources, neurons, places = kernels.merge(self.keys, plan.border, np.where(other.keys >= 0, other.keys, kernels.BARRED))
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
    """Takes one layer's activations batch by batch into a state; batches may come in any order, from several threads."""

    def __init__(self, plan: LayerPlan, state: LayerState) -> None:
        self.plan, self.state, self.lock = plan, state, Lock()
        self.columns = None if len(plan.neurons) == plan.width else torch.from_numpy(plan.neurons.astype(np.int64))
        order = np.argsort(plan.random.ravel(), kind="stable")
        self.drawn = plan.random.ravel()[order].astype(np.int64)
        """The random excerpts of all neurons, ascending."""
        self.takers = np.divmod(order, plan.random.shape[1])
        """Whose each of them is: neuron and slot."""

    def see(self, batch: Batch, seen: Float[Tensor, "excerpt token neuron"]) -> Moments:
        """Take in the activations of a batch and give their moments; raises UserError where they are not finite."""
        if self.columns is not None:
            seen = seen.index_select(2, self.columns.to(seen.device))
        seen = seen.float()
        layer, state = layer_activations(seen), self.state
        low, high = np.searchsorted(self.drawn, [batch.first, batch.first + len(batch.tokens)])
        drawn = ExcerptNeuronPairs(self.drawn[low:high] - batch.first, *(taker[low:high] for taker in self.takers))
        shift, maxima, sums = layer.sweep()
        if not np.isfinite(sums).all():
            self.complain(batch, seen)
        layer.copy(drawn, state.random.view(np.uint16))
        with self.lock:
            came = kernels.enter(state.keys, self.plan.border, batch.sides, maxima, batch.first, drawn.excerpts, drawn.neurons)
            layer.copy(ExcerptNeuronPairs(*came), state.top.view(np.uint16))
            state.firing += sums[4].astype(np.int64)
            if len(batch.listed.entries):
                layer.add_tokens(batch.listed, state.sums)
            if np.sqrt(sums[1].max()) + np.abs(shift).max() > FLOAT16_MAX:
                state.clipped += layer.beyond()
        return from_powers(batch.tokens.numel(), shift.astype(np.float64), sums[:4])

    def complain(self, batch: Batch, seen: Float32[Tensor, "excerpt token neuron"]) -> None:
        """Say where the activations are not finite; sums that alone overflowed are too large for the statistics."""
        wrong = ~torch.isfinite(seen).all(dim=(1, 2)).cpu()
        where = f" on excerpt {batch.first + int(wrong.int().argmax())}" if wrong.any() else ""
        raise UserError(
            f"layer {self.plan.layer} gives NaN or infinite activations{where}; try subject.dtype float32 or leave the layer out"
        )
