"""Where the neurons of a model are: a neuron is one input of the MLP's output projection."""

import logging
import re
from typing import Any

from neurogloss.errors import UserError

logger = logging.getLogger(__name__)

# Module path of the output projection by `model_type`; what is not here is named by `subject.site`.
LLAMA_LIKE = "model.layers.{layer}.mlp.down_proj"
SITES = {
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


def find_sites(model: Any, site: str) -> list[str]:
    """Module path of each layer's output projection, the layer nearest to the input first; UserError where no layer has one.

    A layer without it, such as one of experts, has an empty path, and that is said.
    """
    kind = model.config.model_type
    if site == "auto":
        if kind not in SITES:
            raise UserError(
                f"subject.site auto does not know the architecture {kind!r}, it knows {', '.join(sorted(SITES))}; "
                "set subject.site to the module path of the MLP's output projection with {layer} in it"
            )
        site = SITES[kind]
    if "{layer}" not in site:
        raise UserError(f"subject.site is {site!r}, expected a module path with {{layer}} in it, such as {LLAMA_LIKE}")
    modules = dict(model.named_modules())
    pattern = re.compile(re.escape(site).replace(re.escape("{layer}"), r"(0|[1-9]\d*)", 1))
    found = {int(match[1]): path for path in modules if (match := pattern.fullmatch(path))}
    if not found:
        near = [path for path in modules if path.rpartition(".")[2] == site.rpartition(".")[2]][:1]
        hint = f"; the model has {near[0]}" if near else ""
        raise UserError(f"subject.site {site!r} names no module of this {kind} model{hint}; correct it")
    layers = range(max(*found, int(getattr(model.config.get_text_config(), "num_hidden_layers", 0)) - 1) + 1)
    if missing := [layer for layer in layers if layer not in found]:
        logger.warning("layers %s of %s are left out: they have no %s; subject.site can name another place", missing, len(layers), site)
    return [found.get(layer, "") for layer in layers]


def width(module: Any, path: str) -> int:
    """How many inputs a projection has; UserError where the module is no projection."""
    if hasattr(module, "in_features"):
        return int(module.in_features)
    weight = getattr(module, "weight", None)
    if type(module).__name__ != "Conv1D" or weight is None:
        raise UserError(f"{path} is a {type(module).__name__}, expected the linear output projection of an MLP; correct subject.site")
    return int(weight.shape[0])  # GPT-2's Conv1D holds (inputs, outputs).
