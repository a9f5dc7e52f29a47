"""What a batch shows of a layer, and what is done with it.

`InMemory` runs compiled loops over the processor's memory (kernels.py), `OnDevice` asks torch for the same and takes home what is small.
"""

from typing import NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Float16, Float32, Float64, Int64, UInt16
from torch import Tensor

from neurogloss.recording import kernels
from neurogloss.recording.strongest import FLOAT16_MAX


class ExcerptNeuronPairs(NamedTuple):
    """Excerpts of the batch, ascending, each with a neuron and the place where the neuron keeps it."""

    excerpts: Int64[np.ndarray, " pair"]
    neurons: Int64[np.ndarray, " pair"]
    places: Int64[np.ndarray, " pair"]


class TokenGroups(NamedTuple):
    """The tokens of a batch that are in the token table."""

    entries: Int64[np.ndarray, " entry"]
    """Those that occur, ascending."""
    order: Int64[np.ndarray, " token"]
    """Where in the batch, as excerpt * length + token, by entry."""
    starts: Int64[np.ndarray, " border"]
    """Where each of `entries` begins in `order`, and where the last one ends."""


class SweepResult(NamedTuple):
    """What one look at all activations gives."""

    shift: Float32[np.ndarray, " neuron"]
    """The mean over the first excerpt, near that over all."""
    maxima: UInt16[np.ndarray, "excerpt neuron"]
    """Bits of float16."""
    sums: Float64[np.ndarray, "5 neuron"]
    """Of the first four powers of the deviation from the shift, and of how many activations are above zero; not finite where one is not."""


class LayerActivations(Protocol):
    """A layer's activations on the excerpts of a batch."""

    def sweep(self) -> SweepResult:
        """Look at all activations."""

    def copy(self, pairs: ExcerptNeuronPairs, into: UInt16[np.ndarray, "neuron place token"]) -> None:
        """Put the activations of pairs of excerpt and neuron at their places, as bits of float16."""

    def beyond(self) -> int:
        """How many activations float16 cannot hold."""

    def add_tokens(self, listed: TokenGroups, sums: Float64[np.ndarray, "entry neuron"]) -> None:
        """Add activations, as float16 would hold them, to the sums of their tokens."""


class HostActivations:
    """float32 in the processor's memory."""

    def __init__(self, seen: Float32[Tensor, "excerpt token neuron"]) -> None:
        values = seen.numpy()
        excerpts, length, width = values.shape
        row = width * values.itemsize
        if values.strides[0] % row or values.strides[1:] != (row, values.itemsize):
            values = np.array(values, order="C")
        self.values = values
        step = values.strides[0] // row if excerpts > 1 else length
        shape = (excerpts - 1) * step + length, width
        self.rows = kernels.Rows(np.lib.stride_tricks.as_strided(values, shape, (row, values.itemsize)), step, length)

    def sweep(self) -> SweepResult:
        """See Seen."""
        return SweepResult(*kernels.sweep(self.rows))

    def copy(self, pairs: ExcerptNeuronPairs, into: UInt16[np.ndarray, "neuron place token"]) -> None:
        """See Seen."""
        kernels.copy(self.rows, *pairs, into)

    def beyond(self) -> int:
        """See Seen."""
        return int(np.count_nonzero(np.abs(self.values) > FLOAT16_MAX))

    def add_tokens(self, listed: TokenGroups, sums: Float64[np.ndarray, "entry neuron"]) -> None:
        """See Seen."""
        kernels.add_tokens(self.rows, *listed, sums)


class DeviceActivations:
    """float32 on another device."""

    def __init__(self, seen: Float32[Tensor, "excerpt token neuron"]) -> None:
        self.values = seen

    def there(self, array: np.ndarray) -> Tensor:
        """The array on the device."""
        return torch.from_numpy(array).to(self.values.device)

    def sweep(self) -> SweepResult:
        """See Seen."""
        shift = self.values[0].mean(dim=0)
        one = (self.values - shift).flatten(0, 1)
        two = one * one
        above = (self.values > 0).flatten(0, 1)
        sums = torch.stack([part.sum(dim=0).double() for part in (one, two, one * two, two * two, above)])
        return SweepResult(shift.cpu().numpy(), bits(cut(self.values.amax(dim=1))), sums.cpu().numpy())

    def copy(self, pairs: ExcerptNeuronPairs, into: UInt16[np.ndarray, "neuron place token"]) -> None:
        """See Seen."""
        found = self.values.transpose(1, 2)[self.there(pairs.excerpts), self.there(pairs.neurons)]
        into[pairs.neurons, pairs.places] = bits(cut(found))

    def beyond(self) -> int:
        """See Seen."""
        return int((self.values.abs() > FLOAT16_MAX).sum())

    def add_tokens(self, listed: TokenGroups, sums: Float64[np.ndarray, "entry neuron"]) -> None:
        """See Seen."""
        found = self.values.flatten(0, 1).index_select(0, self.there(listed.order))
        near = cut(found).double()
        places = self.there(np.repeat(np.arange(len(listed.entries)), np.diff(listed.starts)))
        partial = torch.zeros((len(listed.entries), near.shape[1]), dtype=torch.float64, device=near.device).index_add_(0, places, near)
        sums[listed.entries] += partial.cpu().numpy()


def cut(values: Float32[Tensor, "..."]) -> Float16[Tensor, "..."]:
    """As float16, cut to what it can hold."""
    return values.clamp(-FLOAT16_MAX, FLOAT16_MAX).half()


def bits(values: Float16[Tensor, "..."]) -> UInt16[np.ndarray, "..."]:
    """Of the numbers, in the processor's memory."""
    return np.asarray(values.cpu().numpy().view(np.uint16))


def layer_activations(seen: Float32[Tensor, "excerpt token neuron"]) -> LayerActivations:
    """A layer's activations, wherever they are."""
    return HostActivations(seen) if seen.device.type == "cpu" else DeviceActivations(seen)
