"""Neurons: the inputs of the MLP's output projection, and with `subject.signed` their negative sides."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neurogloss.subject.lens import added_by_mlp, by_input
from neurogloss.subject.sites import Sites, find_sites, layer_of, width
from neurogloss.subject.units import Units

LLAMA_LIKE = "model.layers.{layer}.mlp.down_proj"
PATHS = {
    "gpt2": "transformer.h.{layer}.mlp.c_proj",
    "gpt_neo": "transformer.h.{layer}.mlp.c_proj",
    "gpt_bigcode": "transformer.h.{layer}.mlp.c_proj",
    "gptj": "transformer.h.{layer}.mlp.fc_out",
    "codegen": "transformer.h.{layer}.mlp.fc_out",
    "gpt_neox": "gpt_neox.layers.{layer}.mlp.dense_4h_to_h",
    "bloom": "transformer.h.{layer}.mlp.dense_4h_to_h",
    "falcon": "transformer.h.{layer}.mlp.dense_4h_to_h",
    "opt": "model.decoder.layers.{layer}.fc2",
    "phi": "model.layers.{layer}.mlp.fc2",
    "starcoder2": "model.layers.{layer}.mlp.c_proj",
    **dict.fromkeys(
        (
            *("llama", "qwen2", "qwen3", "mistral", "gemma", "gemma2", "gemma3_text", "phi3", "smollm3"),
            *("olmo", "olmo2", "olmo3", "stablelm", "cohere", "cohere2", "granite"),
        ),
        LLAMA_LIKE,
    ),
}
MLP = Sites("output projection of an MLP", PATHS, LLAMA_LIKE)


@dataclass(frozen=True, eq=False)
class Neurons(Units):
    """Inputs of an MLP's output projection."""

    def values(self, seen: Float[Tensor, "excerpt token neuron"]) -> Float[Tensor, "excerpt token neuron"]:
        """As they are."""
        return seen

    def replaced(
        self, seen: Float[Tensor, "row token neuron"], columns: Int[Tensor, " row"], values: Float[Tensor, "row token"]
    ) -> Float[Tensor, "row token neuron"]:
        """One input is another."""
        return seen.scatter(2, columns[:, None, None].expand(-1, seen.shape[1], 1), values[..., None])

    def writes(self, model: Any, columns: Tensor) -> Float[Tensor, "unit width"]:
        """Rows of the output projection, through a norm after the MLP."""
        return written_by(model, self.module, columns)


@dataclass(frozen=True, eq=False)
class SignedNeurons(Units):
    """The same, and before them their negative sides, the last neuron's first: so indices ascend with the columns."""

    @property
    def first(self) -> int:
        """The last neuron's negative side; ~0 is that of neuron 0."""
        return -(self.width // 2)

    def values(self, seen: Float[Tensor, "excerpt token neuron"]) -> Float[Tensor, "excerpt token unit"]:
        """A negative side has the negative of its neuron's activation."""
        return torch.cat([-seen.flip(-1), seen], dim=-1)

    def replaced(
        self, seen: Float[Tensor, "row token neuron"], columns: Int[Tensor, " row"], values: Float[Tensor, "row token"]
    ) -> Float[Tensor, "row token neuron"]:
        """The neuron's activation is that of its side, with its sign."""
        indices = columns + self.first
        neurons, signs = torch.where(indices < 0, ~indices, indices), torch.where(indices < 0, -1, 1).to(values)
        return seen.scatter(2, neurons[:, None, None].expand(-1, seen.shape[1], 1), (signs[:, None] * values)[..., None])

    def writes(self, model: Any, columns: Tensor) -> Float[Tensor, "unit width"]:
        """The negative of the neuron's row for its negative side: its value is the negative, too."""
        indices = columns + self.first
        below = indices < 0
        return written_by(model, self.module, torch.where(below, ~indices, indices)) * torch.where(below, -1, 1)[:, None]


def written_by(model: Any, module: str, neurons: Tensor) -> Float[Tensor, "neuron width"]:
    """Rows of the output projection, through a norm after the MLP."""
    return added_by_mlp(model, layer_of(module), module, by_input(model.get_submodule(module))[neurons])


def find_neurons(model: Any, site: str = "auto", signed: bool = False) -> tuple[Units | None, ...]:
    """The neurons of each layer, None where it has none; with `signed` both sides of each."""
    found = [(path, width(model, path, MLP.what) if path else 0) for path in find_sites(model, site, MLP)]
    return tuple((SignedNeurons(path, 2 * count) if signed else Neurons(path, count)) if path else None for path, count in found)
