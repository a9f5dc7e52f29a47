"""What a batch shows of a layer, and what is done with some of its neurons.

`InMemory` runs compiled loops over the processor's memory (kernels.py), `OnDevice` asks torch for the same and takes home what is small.
"""

from typing import NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Float16, Float32, Float64, Int64, UInt16
from torch import Tensor

from stages.subject import kernels
from stages.subject.strongest import FLOAT16_MAX


class Pairs(NamedTuple):
    """Excerpts of the batch, ascending, each with a neuron and the place where the neuron keeps it."""

    excerpts: Int64[np.ndarray, " pair"]
    neurons: Int64[np.ndarray, " pair"]
    places: Int64[np.ndarray, " pair"]


class Listed(NamedTuple):
    """The tokens of a batch that are in the token table."""

    entries: Int64[np.ndarray, " entry"]
    """Those that occur, ascending."""
    order: Int64[np.ndarray, " token"]
    """Where in the batch, as excerpt * length + token, by entry."""
    starts: Int64[np.ndarray, " border"]
    """Where each of `entries` begins in `order`, and where the last one ends."""


class Kept(NamedTuple):
    """What is kept of some neurons, changed in place."""

    keys: Int64[np.ndarray, "neuron top"]
    top: UInt16[np.ndarray, "neuron top token"]
    """Bits of float16."""
    random: UInt16[np.ndarray, "neuron slot token"]


class Seen(Protocol):
    """A layer's activations on the excerpts of a batch; neurons are counted from `first` on."""

    def centre(self) -> Float32[np.ndarray, " all_neurons"]:
        """Means over the first excerpt: a shift near each neuron's mean."""

    def take_in(
        self, first: int, shift: Float32[np.ndarray, " neuron"], number: int, drawn: Pairs, kept: Kept
    ) -> Float64[np.ndarray, "5 neuron"]:
        """Copy the excerpts, numbered from `number`, that were drawn for a neuron or are among its strongest ones so far.

        Gives sums of the first four powers of the deviation from `shift`, and of how many activations are above zero; they are not
        finite where an activation is not.
        """

    def beyond(self, first: int, stop: int) -> int:
        """How many activations float16 cannot hold."""

    def add_tokens(self, first: int, stop: int, listed: Listed, sums: Float64[np.ndarray, "entry all_neurons"]) -> None:
        """Add activations, as float16 would hold them, to the sums of their tokens."""


class InMemory:
    """float32 in the processor's memory; several threads may use it at once."""

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

    def centre(self) -> Float32[np.ndarray, " all_neurons"]:
        """See Seen."""
        return np.asarray(self.values[0].mean(axis=0))

    def take_in(
        self, first: int, shift: Float32[np.ndarray, " neuron"], number: int, drawn: Pairs, kept: Kept
    ) -> Float64[np.ndarray, "5 neuron"]:
        """See Seen."""
        return kernels.take_in(self.rows, first, shift, number, *drawn, *kept)

    def beyond(self, first: int, stop: int) -> int:
        """See Seen."""
        return int(np.count_nonzero(np.abs(self.values[:, :, first:stop]) > FLOAT16_MAX))

    def add_tokens(self, first: int, stop: int, listed: Listed, sums: Float64[np.ndarray, "entry all_neurons"]) -> None:
        """See Seen."""
        kernels.add_tokens(self.rows, first, stop, *listed, sums)


class OnDevice:
    """float32 on another device."""

    def __init__(self, seen: Float32[Tensor, "excerpt token neuron"]) -> None:
        self.values = seen

    def there(self, array: np.ndarray) -> Tensor:
        """The array on the device."""
        return torch.from_numpy(array).to(self.values.device)

    def centre(self) -> Float32[np.ndarray, " all_neurons"]:
        """See Seen."""
        return np.asarray(self.values[0].mean(dim=0).cpu().numpy())

    def take_in(
        self, first: int, shift: Float32[np.ndarray, " neuron"], number: int, drawn: Pairs, kept: Kept
    ) -> Float64[np.ndarray, "5 neuron"]:
        """See Seen."""
        values = self.values[:, :, first : first + len(shift)]
        one = (values - self.there(shift)).flatten(0, 1)
        two = one * one
        above = (values > 0).flatten(0, 1)
        sums = torch.stack([part.sum(dim=0).double() for part in (one, two, one * two, two * two, above)])
        self.copy(values, drawn, kept.random)
        came = kernels.enter(kept.keys, bits(cut(values.amax(dim=1))), number, drawn.excerpts, drawn.neurons)
        self.copy(values, Pairs(*came), kept.top)
        return np.asarray(sums.cpu().numpy())

    def copy(self, values: Float32[Tensor, "excerpt token neuron"], pairs: Pairs, into: UInt16[np.ndarray, "neuron place token"]) -> None:
        """Put the activations of pairs at their places."""
        found = values.transpose(1, 2)[self.there(pairs.excerpts), self.there(pairs.neurons)]
        into[pairs.neurons, pairs.places] = bits(cut(found))

    def beyond(self, first: int, stop: int) -> int:
        """See Seen."""
        return int((self.values[:, :, first:stop].abs() > FLOAT16_MAX).sum())

    def add_tokens(self, first: int, stop: int, listed: Listed, sums: Float64[np.ndarray, "entry all_neurons"]) -> None:
        """See Seen."""
        found = self.values[:, :, first:stop].flatten(0, 1).index_select(0, self.there(listed.order))
        near = cut(found).double()
        places = self.there(np.repeat(np.arange(len(listed.entries)), np.diff(listed.starts)))
        partial = torch.zeros((len(listed.entries), stop - first), dtype=torch.float64, device=near.device).index_add_(0, places, near)
        sums[listed.entries, first:stop] += partial.cpu().numpy()


def cut(values: Float32[Tensor, "..."]) -> Float16[Tensor, "..."]:
    """As float16, cut to what it can hold."""
    return values.clamp(-FLOAT16_MAX, FLOAT16_MAX).half()


def bits(values: Float16[Tensor, "..."]) -> UInt16[np.ndarray, "..."]:
    """Of the numbers, in the processor's memory."""
    return np.asarray(values.cpu().numpy().view(np.uint16))


def shown(seen: Float32[Tensor, "excerpt token neuron"]) -> Seen:
    """A layer's activations, wherever they are."""
    return InMemory(seen) if seen.device.type == "cpu" else OnDevice(seen)
