"""Where in a model the units of each layer read: the output projection of its MLP or of its attention."""

import logging
import re
from typing import Any, NamedTuple

from neurogloss.errors import UserError

logger = logging.getLogger(__name__)


class Sites(NamedTuple):
    """Where a part of a layer is, by architecture."""

    what: str
    """Such as: output projection of an MLP."""
    paths: dict[str, str]
    """Module path with {layer} by `model_type`; what is not here is named by `subject.site`."""
    example: str


def find_sites(model: Any, site: str, known: Sites) -> list[str]:
    """Module path of each layer's projection, the layer nearest to the input first; UserError where no layer has one.

    A layer without it, such as one of experts, has an empty path, and that is said.
    """
    kind = model.config.model_type
    if site == "auto":
        if "MLP" in known.what and (count := experts(model.config.get_text_config())):
            raise UserError(
                f"{kind} is a mixture of {count} experts a layer: each token runs through a few of them, and record needs every unit's "
                "value on every token; name a dense model under subject.model, or its dense layers under subject.site"
            )
        if kind not in known.paths:
            raise UserError(
                f"subject.site auto does not know the architecture {kind!r}, it knows {', '.join(sorted(known.paths))}; "
                f"set subject.site to the module path of the {known.what} with {{layer}} in it"
            )
        site = known.paths[kind]
    if "{layer}" not in site:
        raise UserError(f"subject.site is {site!r}, expected a module path with {{layer}} in it, such as {known.example}")
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


def experts(config: Any) -> int:
    """How many experts a layer of a mixture has; 0 for a dense model."""
    names = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts", "num_routed_experts")
    return max((count for name in names if isinstance(count := getattr(config, name, None), int) and count > 1), default=0)


def width(model: Any, path: str, what: str) -> int:
    """How many inputs a projection has; UserError where the module is no projection."""
    module = model.get_submodule(path)
    if hasattr(module, "in_features"):
        return int(module.in_features)
    weight = getattr(module, "weight", None)
    if type(module).__name__ != "Conv1D" or weight is None:
        raise UserError(f"{path} is a {type(module).__name__}, expected the linear {what}; correct subject.site")
    return int(weight.shape[0])  # GPT-2's Conv1D holds (inputs, outputs).


def layer_of(path: str) -> int:
    """The number of the layer that a module path leads through.

    >>> layer_of("model.layers.11.mlp.down_proj")
    11
    """
    found = re.search(r"\.(\d+)(?:\.|$)", path)
    if found is None:
        raise UserError(f"{path!r} has no layer number to go by; correct subject.site")
    return int(found[1])


def block_path(path: str, layer: int) -> str:
    """Path of the layer that holds a module; UserError where the path names no layer.

    >>> block_path("model.layers.3.mlp.down_proj", 3)
    'model.layers.3'
    """
    found = re.match(rf"(.*?(?:^|\.){layer})(?:\.|$)", path)
    if found is None:
        raise UserError(f"{path} stands in no numbered layer, such as model.layers.{layer}; correct subject.site")
    return found[1]
