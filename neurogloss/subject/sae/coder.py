"""A sparse autoencoder or transcoder as weights: which latents fire on an activation, and what they make of it."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Activation = Literal["relu", "jumprelu", "gated", "topk", "groupmax"]
Normalisation = Literal["none", "constant_norm_rescale", "layer_norm"]
AT_ONCE = 1 << 24
"""Latent values before the activation function that are in memory at once, at most (64 MB)."""


class Fired(NamedTuple):
    """The latents above zero, by row and then by latent."""

    rows: Int64[Tensor, " event"]
    latents: Int64[Tensor, " event"]
    values: Float[Tensor, " event"]


@dataclass(frozen=True, eq=False)
class Gate:
    """What a gated encoder has in place of one bias (Rajamanoharan et al. 2024)."""

    bias: Float[Tensor, " latent"]
    log_scale: Float[Tensor, " latent"]
    magnitude_bias: Float[Tensor, " latent"]


@dataclass(frozen=True, eq=False)
class Coder:
    """Weights in float32. h = normalised(x) · encoder + bias, and the activation function says which latents fire."""

    encoder: Float[Tensor, "size latent"]
    bias: Float[Tensor, " latent"]
    decoder: Float[Tensor, "latent out"]
    decoder_bias: Float[Tensor, " out"]
    activation: Activation
    k: int = 0
    """Latents that fire at most, or groups."""
    threshold: Float[Tensor, " latent"] | None = None
    gate: Gate | None = None
    subtracts: bool = False
    """Whether the decoder's bias is taken off what goes in."""
    normalisation: Normalisation = "none"
    by_decoder_norm: bool = False
    """Whether values are multiplied by the norm of the latent's row of the decoder, and the decoder's rows are then of norm 1."""
    skip: Float[Tensor, "out size"] | None = None

    def to(self, device: Any) -> "Coder":
        """The same on a device."""

        def moved(value: Any) -> Any:
            if isinstance(value, Gate):
                return Gate(value.bias.to(device), value.log_scale.to(device), value.magnitude_bias.to(device))
            return value.to(device) if isinstance(value, Tensor) else value

        return Coder(**{name: moved(value) for name, value in vars(self).items()})

    @property
    def writes(self) -> Float[Tensor, "latent out"]:
        """What a latent at 1 adds."""
        return self.decoder / self.norms[:, None] if self.by_decoder_norm else self.decoder

    @property
    def norms(self) -> Float[Tensor, " latent"]:
        """Of the rows of the decoder."""
        norms: Tensor = torch.linalg.vector_norm(self.decoder, dim=1)
        return norms

    def fire(self, seen: Float[Tensor, "row size"]) -> Fired:
        """The latents that fire on each row; some rows at a time, so that memory does not follow the number of latents."""
        step = max(1, AT_ONCE // self.encoder.shape[1])
        parts = [self.fire_at_once(seen[start : start + step]) for start in range(0, len(seen), step)]
        rows = [part.rows + start for part, start in zip(parts, range(0, len(seen), step), strict=True)]
        return Fired(torch.cat(rows), torch.cat([part.latents for part in parts]), torch.cat([part.values for part in parts]))

    def fire_at_once(self, seen: Float[Tensor, "row size"]) -> Fired:
        """See `fire`."""
        seen = self.normalised(seen)[0]
        seen = seen - self.decoder_bias if self.subtracts else seen
        if self.gate is not None:
            product = seen @ self.encoder
            fires = product + self.gate.bias > 0
            values = product.mul_(self.gate.log_scale.exp()).add_(self.gate.magnitude_bias)
            return chosen(values, fires & (values > 0))
        values = torch.addmm(self.bias, seen, self.encoder)
        values = values.mul_(self.norms) if self.by_decoder_norm else values
        if self.activation == "topk":
            return strongest(values, self.k)
        if self.activation == "groupmax":
            return strongest_of_groups(values, self.k)
        floor = torch.zeros((), device=values.device) if self.threshold is None else self.threshold.clamp_min(0)
        return chosen(values, values > floor)

    def normalised(self, seen: Float[Tensor, "row size"]) -> tuple[Tensor, Tensor, Tensor]:
        """What goes in, and the factor and the summand that undo it in what comes out."""
        one, none = torch.ones((), device=seen.device), torch.zeros((), device=seen.device)
        if self.normalisation == "constant_norm_rescale":
            factor = seen.shape[-1] ** 0.5 / torch.linalg.vector_norm(seen, dim=-1, keepdim=True)
            return seen * factor, 1 / factor, none
        if self.normalisation == "layer_norm":
            mean = seen.mean(dim=-1, keepdim=True)
            spread = seen.std(dim=-1, keepdim=True)
            return (seen - mean) / (spread + 1e-5), spread, mean
        return seen, one, none

    def reconstruct(self, seen: Float[Tensor, "row size"], fired: Fired) -> Float[Tensor, "row out"]:
        """What the latents that fired make of each row."""
        written = fired.values[:, None] * self.writes[fired.latents]
        made = self.decoder_bias.expand(len(seen), -1).index_add(0, fired.rows, written)
        if self.skip is not None:
            return made + seen @ self.skip.T
        factor, summand = self.normalised(seen)[1:]
        return made * factor + summand

    def changed(self, seen: Float[Tensor, "row size"], latents: Int64[Tensor, " row"], values: Float[Tensor, " row"]) -> Tensor:
        """What is added to each row's reconstruction where one latent has another value, and all others what they have."""
        fired = self.fire(seen)
        own = fired.latents == latents[fired.rows]
        more = values.index_put((fired.rows[own],), -fired.values[own], accumulate=True)
        written = more[:, None] * self.writes[latents]
        return written if self.skip is not None else written * self.normalised(seen)[1]

    def encode(self, seen: Float[Tensor, "row size"]) -> Float[Tensor, "row latent"]:
        """The value of every latent on each row, zero where it does not fire."""
        fired = self.fire(seen)
        dense = torch.zeros((len(seen), self.encoder.shape[1]), device=seen.device)
        dense[fired.rows, fired.latents] = fired.values
        return dense


def chosen(values: Float[Tensor, "row latent"], fires: Tensor) -> Fired:
    """The values where a mask is set."""
    rows, latents = fires.nonzero(as_tuple=True)
    return Fired(rows, latents, values[rows, latents])


def strongest(values: Float[Tensor, "row latent"], k: int) -> Fired:
    """The k largest of each row, those that are above zero."""
    return ordered(*torch.topk(values, min(k, values.shape[1]), dim=1, sorted=False))


def strongest_of_groups(values: Float[Tensor, "row latent"], groups: int) -> Fired:
    """The largest of each of so many equal groups of neighbours, those that are above zero."""
    size = values.shape[1] // groups
    largest, places = values.reshape(len(values), groups, size).max(dim=2)
    return ordered(largest, places + torch.arange(groups, device=values.device) * size)


def ordered(values: Float[Tensor, "row kept"], latents: Int64[Tensor, "row kept"]) -> Fired:
    """Those above zero, by row and latent."""
    latents, order = latents.sort(dim=1)
    values = values.gather(1, order)
    rows, kept = (values > 0).nonzero(as_tuple=True)
    return Fired(rows, latents[rows, kept], values[rows, kept])
