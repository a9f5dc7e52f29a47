"""What a batch adds to a layer's state, in plain torch operations, on any device; device_triton.py does the same in fewer reads.

No operation here waits for the device: no number is taken home, no shape and no branch depends on one.
"""

from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float, Float16, Float32, Float64, Int32, Int64
from torch import Tensor

from neurogloss.recording.kernels import BARRED as BARRED_KEY
from neurogloss.recording.kernels import LOWEST_ID as LOWEST
from neurogloss.recording.strongest import FLOAT16_MAX

BARRED, LOWEST_ID = int(BARRED_KEY), int(LOWEST)
PIECE = {"cpu": 1 << 18}
"""Numbers that are worked on at once: what fits the processor's cache; elsewhere `LARGE_PIECE`."""
LARGE_PIECE = 1 << 26


class Sweep(NamedTuple):
    """What one look at all activations gives."""

    strengths: Int32[Tensor, "excerpt unit"]
    """The largest activation as float16, 0 to 65535 in the order of the numbers; -1 bars the excerpt from the strongest."""
    powers: Float32[Tensor, "excerpt 5 unit"]
    """Sums over the tokens of the first four powers of the deviation from the shift, and how many activations are above zero."""


class Listed(NamedTuple):
    """The tokens of a batch that are in the token table, ordered by their entry."""

    excerpts: Int64[Tensor, " token"]
    positions: Int64[Tensor, " token"]
    places: Int64[Tensor, " token"]
    """The entry of each token."""
    entries: Int64[Tensor, " entry"]
    """Those that occur, ascending."""
    starts: Int64[Tensor, " border"]
    """Where each of `entries` begins among the tokens, and where the last one ends."""


class Operations(Protocol):
    """The steps that read all activations or many of them."""

    def sweep(self, values: Tensor, shift: Tensor, first: int, flags: Tensor) -> Sweep:
        """Look at all activations."""

    def keep(self, values: Tensor, strengths: Tensor, rows: Tensor, first: int, keys: Tensor, top: Tensor) -> None:
        """Let excerpts compete for places."""

    def add_tokens(self, values: Tensor, listed: Listed, sums: Tensor) -> None:
        """Add activations to the sums of their tokens."""


class TorchOperations:
    """In plain torch."""

    def sweep(
        self,
        values: Float[Tensor, "excerpt token unit"],
        shift: Float32[Tensor, " unit"],
        first: int,
        flags: Int64[Tensor, " 2"],
    ) -> Sweep:
        """Strengths and powers; `flags` counts what float16 cannot hold and learns the first excerpt that is not finite."""
        excerpts, length, width = values.shape
        strengths = torch.empty((excerpts, width), dtype=torch.int32, device=values.device)
        powers = torch.empty((excerpts, 5, width), dtype=torch.float32, device=values.device)
        at_once = max(1, PIECE.get(values.device.type, LARGE_PIECE) // (length * width))
        for start in range(0, excerpts, at_once):
            part = slice(start, start + at_once)
            numbers = values[part].float()
            deviation = numbers - shift
            square = deviation * deviation
            parts = (deviation, square, deviation * square, square * square)
            for power, found in enumerate(parts):
                torch.sum(found, dim=1, out=powers[part, power])
            torch.sum(numbers > 0, dim=1, dtype=torch.float32, out=powers[part, 4])
            strengths[part] = ordered(cut(numbers.amax(dim=1)))
            flags[0] += (numbers.abs() > FLOAT16_MAX).sum()
        numbered = torch.arange(first, first + excerpts, device=values.device)
        finite = torch.isfinite(powers[:, 3]).all(dim=1)
        flags[1] = torch.minimum(flags[1], numbered.masked_fill(finite, LOWEST_ID).amin())
        return Sweep(strengths, powers)

    def keep(
        self,
        values: Float[Tensor, "excerpt token unit"],
        strengths: Int32[Tensor, "excerpt unit"],
        rows: Int64[Tensor, " row"],
        first: int,
        keys: Int64[Tensor, "unit place"],
        top: Float16[Tensor, "place token unit"],
    ) -> None:
        """Let the excerpts `rows` of the batch, which is numbered from `first`, compete for places: keys and activations are replaced."""
        places = keys.shape[1]
        mine = strengths.index_select(0, rows).long()
        offered = ((mine << 32) | (LOWEST_ID - first - rows)[:, None]).masked_fill(mine < 0, BARRED)
        best = torch.cat([keys, offered.T], dim=1).topk(places, dim=1, sorted=False)
        source = best.indices.T  # Below `places` the place where the key was, else where in `rows` its excerpt is.
        excerpt = rows[(source - places).clamp(min=0)]
        spread = (-1, top.shape[1], -1)
        came = cut(values.gather(0, excerpt[:, None].expand(spread)))
        stayed = top.gather(0, source.clamp(max=places - 1)[:, None].expand(spread))
        keys.copy_(best.values)
        top.copy_(torch.where((source >= places)[:, None], came, stayed))

    def add_tokens(self, values: Float[Tensor, "excerpt token unit"], listed: Listed, sums: Float64[Tensor, "entry unit"]) -> None:
        """Add activations, as float16 holds them, to the sums of their tokens; exact, so the order of adding does not matter."""
        at_once = max(1, PIECE.get(values.device.type, LARGE_PIECE) // values.shape[2])
        for start in range(0, len(listed.places), at_once):
            part = slice(start, start + at_once)
            found = cut(values[listed.excerpts[part], listed.positions[part]]).double()
            sums.index_add_(0, listed.places[part], found)


def cut(values: Float[Tensor, "..."]) -> Float16[Tensor, "..."]:
    """As float16, to nearest even, cut to what it can hold."""
    return values.float().clamp(-FLOAT16_MAX, FLOAT16_MAX).half()


def ordered(values: Float16[Tensor, "..."]) -> Int32[Tensor, "..."]:
    """0 to 65535 in the order of the numbers; -0 is 0."""
    bits = values.view(torch.int16).int()
    bits = bits.masked_fill(bits == -0x8000, 0)
    return torch.where(bits < 0, ~bits, bits + 0x8000)


def nearest_half(values: Float64[Tensor, "..."]) -> Float16[Tensor, "..."]:
    """float64 rounded once: torch rounds to float32 in between, so what that step loses is kept in the last bit (rounding to odd)."""
    single = values.float()
    lost = values - single.double()
    even = single.view(torch.int32) & 1 == 0
    towards = torch.where(lost > 0, torch.inf, -torch.inf).float()
    return torch.where((lost != 0) & even, torch.nextafter(single, towards), single).half()
