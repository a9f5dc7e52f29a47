"""The logit lens: what weights alone say of tokens (nostalgebraist 2020). Gains of norms are taken along, scales and centring are not."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from neurogloss.subject.sites import block_path

AFTER = ("post_feedforward_layernorm", "post_mlp_layernorm")
"""Names of a norm of what the MLP adds, as Gemma 2 and 3, OLMo 2 and 3 and GLM-4 have it."""
AFTER_ATTENTION = "post_attention_layernorm"
"""The same of the attention, in layers that have one of AFTER; elsewhere the name of the norm before the MLP."""
LAST = ("norm", "ln_f", "final_layer_norm", "final_layernorm")
"""Names of the norm after the last layer."""
AT_ONCE = 512
"""Units whose strengths for every token are in memory at once."""


def named(module: Any, names: tuple[str, ...]) -> Any:
    """The first child of these names, or None."""
    return next((getattr(module, name) for name in names if hasattr(module, name)), None)


def gain(norm: Any, width: int) -> Float[Tensor, " width"]:
    """What a norm multiplies by; ones where it has no weight. Gemma's norms hold the gain less one."""
    weight = getattr(norm, "weight", None)
    if weight is None:
        return torch.ones(width)
    factor: Tensor = weight.detach().float() + (1 if type(norm).__name__.startswith("Gemma") else 0)
    return factor


def by_input(projection: Any) -> Float[Tensor, "input output"]:
    """A projection's weights: Linear holds them the other way round, GPT-2's Conv1D does not."""
    weight: Tensor = projection.weight.detach().float()
    return weight if type(projection).__name__ == "Conv1D" else weight.T


def added_by_mlp(model: Any, layer: int, module: str, vectors: Float[Tensor, "unit width"]) -> Float[Tensor, "unit width"]:
    """What reaches the residual stream of outputs of an MLP: through the norm that follows it, where there is one."""
    norm = named(model.get_submodule(block_path(module, layer)), AFTER)
    return vectors * gain(norm, vectors.shape[1]).to(vectors.device)


def added_by_attention(model: Any, layer: int, module: str, vectors: Float[Tensor, "unit width"]) -> Float[Tensor, "unit width"]:
    """The same of outputs of the attention."""
    block = model.get_submodule(block_path(module, layer))
    norm = getattr(block, AFTER_ATTENTION, None) if named(block, AFTER) is not None else None
    return vectors * gain(norm, vectors.shape[1]).to(vectors.device)


def embedding(model: Any, module: str, layer: int) -> Float[Tensor, "token width"]:
    """Each token on the way into the residual stream that a layer's module is part of."""
    table: Tensor = model.get_input_embeddings().weight.detach().float()
    inward = getattr(around_layers(model, module, layer), "project_in", None)
    return table if inward is None else table @ by_input(inward)


def unembedding(model: Any, module: str, layer: int) -> Float[Tensor, "token width"]:
    """Each token on the way out, times the gain of the last norm."""
    head = model.get_output_embeddings() or model.get_input_embeddings()
    container = around_layers(model, module, layer)
    table: Tensor = head.weight.detach().float()
    outward = getattr(container, "project_out", None)
    if outward is not None:
        table = table @ by_input(outward).T
    return table * gain(named(container, LAST), table.shape[1]).to(table.device)


def around_layers(model: Any, module: str, layer: int) -> Any:
    """What holds the list of layers; where tokens are narrower than the residual stream, as in OPT-350m, the projections between, too."""
    return model.get_submodule(block_path(module, layer).rsplit(".", 2)[0])
