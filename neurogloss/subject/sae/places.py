"""Where a coder reads: names of TransformerLens and module paths, as modules of a Hugging Face model."""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neurogloss.errors import UserError
from neurogloss.subject import heads, neurons
from neurogloss.subject.lens import AFTER as AFTER_MLP
from neurogloss.subject.lens import AFTER_ATTENTION, added_by_attention, added_by_mlp, by_input, named
from neurogloss.subject.sites import Sites, block_path

LENS = re.compile(r"blocks\.(?P<layer>\d+)\.(?P<hook>[\w.]+)")
PATH = re.compile(r"(?P<path>[\w.]+)\.(?P<side>input|output)")
BEFORE_MLP = ("pre_feedforward_layernorm", "post_attention_layernorm", "ln_2", "ln_mlp", "final_layer_norm", "input_layernorm")
"""Names of the norm before the MLP, the first that a layer has."""
HOOKS = (
    *("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out"),
    *("attn.hook_z", "mlp.hook_in", "mlp.hook_post", "ln2.hook_normalized"),
)
"""Names of TransformerLens that are understood."""


@dataclass(frozen=True, eq=False)
class Place:
    """What a module is given or gives, in one layer."""

    layer: int
    module: str
    output: bool
    gain: Tensor | None = None
    """Divides what is read, after the bias was taken off: what TransformerLens calls normalized is a norm without its weights."""
    bias: Tensor | None = None

    def read(self, seen: Tensor) -> Tensor:
        """The numbers meant, from what the module is given or gives."""
        seen = seen if self.bias is None else seen - self.bias
        return seen if self.gain is None else seen / self.gain

    def back(self, added: Tensor) -> Tensor:
        """What is added to what the module is given or gives where so much is added to the numbers meant."""
        return added if self.gain is None else added * self.gain


def find_place(model: Any, hook: str) -> Place:
    """The place of a name; UserError where the model has none of that name."""
    if found := LENS.fullmatch(hook):
        return lens_place(model, hook, int(found["layer"]), found["hook"])
    found = PATH.fullmatch(hook)
    path, output = (found["path"], found["side"] == "output") if found else (hook, True)
    layer = re.search(r"\.(\d+)(?:\.|$)", path if "." in path else f".{path}")
    known = dict(model.named_modules())
    prefix = model.base_model_prefix
    match = next((name for name in (path, f"{prefix}.{path}") if name in known), None)
    if match is None or layer is None:
        what = "no module of the subject" if match is None else "not inside of a layer"
        raise UserError(
            f"subject.sae reads {hook!r}, which is {what}; set subject.sae.hook to a module path ending in .input or .output, or to "
            f"a name such as blocks.5.hook_resid_post ({', '.join(HOOKS)})"
        )
    return Place(int(layer[1]), match, output)


def lens_place(model: Any, hook: str, layer: int, name: str) -> Place:
    """The place of a name of TransformerLens."""
    mlp, attention = site(model, neurons.MLP, layer), site(model, heads.ATTENTION, layer)
    block_path = mlp.split(f".{layer}.", 1)[0] + f".{layer}"
    modules = dict(model.named_modules())
    if block_path not in modules or name not in HOOKS:
        missing = f"the subject has no layer {layer}" if block_path not in modules else f"known are {', '.join(HOOKS)}"
        raise UserError(f"subject.sae reads {hook!r}, but {missing}; set subject.sae.hook to where it reads")
    block = modules[block_path]
    after, before = (next((child for child in names if hasattr(block, child)), None) for names in (AFTER_MLP, BEFORE_MLP))
    inside = mlp.rpartition(".")[0]
    if name in ("hook_resid_pre", "hook_resid_post"):
        return Place(layer, block_path, name.endswith("post"))
    if name == "hook_mlp_out":
        return Place(layer, f"{block_path}.{after}" if after else mlp, True)
    if name in ("attn.hook_z", "mlp.hook_post"):
        return Place(layer, attention if name == "attn.hook_z" else mlp, False)
    if name == "hook_attn_out":
        normed = after and hasattr(block, "post_attention_layernorm")
        return Place(layer, f"{block_path}.post_attention_layernorm" if normed else attention, True)
    if name == "mlp.hook_in" and inside != block_path:
        return Place(layer, inside, False)
    reordered = after and not hasattr(block, "pre_feedforward_layernorm")  # OLMo 2: no norm stands before the MLP.
    if before is None or reordered or before == "input_layernorm":
        raise UserError(f"subject.sae reads {hook!r}, but the layers of a {model.config.model_type} have no norm before the MLP alone")
    norm = getattr(block, before)
    if name == "hook_resid_mid":
        return Place(layer, f"{block_path}.{before}", False)
    if name == "mlp.hook_in":
        return Place(layer, f"{block_path}.{before}", True)
    gain = norm.weight.detach().float() + (1 if type(norm).__name__.startswith("Gemma") else 0)
    bias = getattr(norm, "bias", None)
    return Place(layer, f"{block_path}.{before}", True, gain, None if bias is None else bias.detach().float())


def to_stream(model: Any, place: Place, vectors: Tensor) -> Tensor | None:
    """Vectors at a place as what they add to the residual stream; None where that is no matter of weights."""
    if place.gain is not None:
        return None
    block = block_path(place.module, place.layer)
    if place.module == block or (place.module.rpartition(".")[2] in (*AFTER_MLP, AFTER_ATTENTION) and place.output):
        after = place.module == block or named(model.get_submodule(block), AFTER_MLP) is not None
        return vectors if after else None
    projections = {neurons.MLP: added_by_mlp, heads.ATTENTION: added_by_attention}
    for known, added in projections.items():
        path = known.paths.get(model.config.model_type, "").format(layer=place.layer)
        if path == place.module:
            projected = vectors if place.output else vectors @ by_input(model.get_submodule(path))
            return added(model, place.layer, path, projected)
        if path.rpartition(".")[0] == place.module and place.output and known is neurons.MLP:
            return added(model, place.layer, path, vectors)
    return None


def site(model: Any, known: Sites, layer: int) -> str:
    """The path of a projection of one layer; UserError for an architecture whose parts are not known."""
    kind = model.config.model_type
    if kind not in known.paths:
        raise UserError(
            f"subject.sae: where a {kind} has its hooks is not known; set subject.sae.hook to a module path such as model.layers.5.output"
        )
    return known.paths[kind].format(layer=layer)


def width_there(model: Any, place: Place) -> int:
    """How many numbers there are at a place, from one token through the model."""
    found: list[int] = []

    def look(_: Any, inputs: Any, kwargs: Any, output: Any = None) -> None:
        found.append(int(first_tensor(output if place.output else (inputs or tuple(kwargs.values()))).shape[-1]))

    module = model.get_submodule(place.module)
    handle = (
        module.register_forward_hook(look, with_kwargs=True) if place.output else module.register_forward_pre_hook(look, with_kwargs=True)
    )
    try:
        with torch.inference_mode():
            model.base_model(input_ids=torch.zeros((1, 1), dtype=torch.int64, device=model.device), use_cache=False)
    finally:
        handle.remove()
    if not found:
        raise UserError(f"subject.sae reads {place.module}, which is never run in a forward pass; correct subject.sae.hook")
    return found[0]


def first_tensor(value: Any) -> Tensor:
    """A tensor, or the first one of a tuple."""
    tensor: Tensor = value if isinstance(value, Tensor) else value[0]
    return tensor
