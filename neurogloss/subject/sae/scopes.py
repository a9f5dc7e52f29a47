"""Gemma Scope 1 (params.npz) and 2 (params.safetensors), and Llama Scope (hyperparams.json): SAEs and transcoders that jump."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neurogloss.errors import UserError
from neurogloss.subject.sae.coder import Coder
from neurogloss.subject.sae.files import CoderFile, number, read_config, read_weights, take, weights_file

FIRST = {"hook_mlp_out": "-mlp", "attn.hook_z": "-att", "hook_resid_post": "-res"}
"""Hook by the name of Gemma Scope 1's repository: gemma-scope-2b-pt-mlp."""
SECOND = {"resid_post": "hook_resid_post", "attn_out": "attn.hook_z", "mlp_out": "hook_mlp_out"}
"""Hook by the name of Gemma Scope 2's folder: resid_post_all/layer_12_width_16k_l0_small."""


def read_gemma_scope(file: Path, source: str) -> CoderFile:
    """Read the weights of either; where they read is in the names of their folders, as `source` names them."""
    weights = {f"W{name[1:]}" if name.startswith("w_") else name: tensor for name, tensor in read_weights(file).items()}
    width = weights["W_enc"].shape if len(weights.get("W_enc", torch.empty(0)).shape) == 2 else (None, None)
    out = weights["b_dec"].shape[0] if weights.get("b_dec", torch.empty(0)).ndim == 1 and "b_dec" in weights else None
    shapes = {"W_enc": (None, None), "W_dec": (width[1], out), "b_enc": width[1:], "b_dec": (None,), "threshold": width[1:]}
    found = take(weights, file, **shapes)
    first = file.suffix == ".npz"
    if "embedding" in source:
        raise UserError(f"subject.sae: {source} is of the embeddings, which no layer has; choose one of a layer")
    config = read_config(file.parent / "config.json") if (file.parent / "config.json").is_file() else {}
    hook, hook_out = (first_hooks(source) if first else second_hooks(source, config)) if re.search(r"layer_\d+", source) else (None, None)
    model = None if first else config.get("model_name")
    skip = weights.get("affine_skip_connection")
    return CoderFile(
        jumping(found["W_enc"], found["b_enc"], found["W_dec"], found["b_dec"], found["threshold"], None if skip is None else skip.T),
        "Gemma Scope" if first else "Gemma Scope 2",
        hook,
        hook_out,
        first_model(source) if first else model,
        {"architecture": "jumprelu"},
    )


def jumping(encoder: Tensor, bias: Tensor, decoder: Tensor, decoder_bias: Tensor, threshold: Tensor, skip: Tensor | None) -> Coder:
    """A coder that does not subtract its decoder's bias and normalises nothing."""
    skip = None if skip is None else skip.contiguous()
    return Coder(encoder.contiguous(), bias, decoder.contiguous(), decoder_bias, "jumprelu", threshold=threshold, skip=skip)


def layer_in(source: str) -> int:
    """The layer that a path names."""
    return int(re.findall(r"layer_(\d+)", source)[-1])


def first_hooks(source: str) -> tuple[str | None, str | None]:
    """Gemma Scope 1: the repository's name ends in res, mlp, att or transcoders."""
    at = f"blocks.{layer_in(source)}."
    if "transcoder" in source:
        return at + "ln2.hook_normalized", at + "hook_mlp_out"
    return next((at + hook for hook, part in FIRST.items() if part in source), None), None


def first_model(source: str) -> str | None:
    """gemma-2-2b of google/gemma-scope-2b-pt-res."""
    found = re.search(r"gemma-scope-(\d+b)-(pt|it)", source)
    return f"gemma-2-{found[1]}{'-it' if found[2] == 'it' else ''}" if found else None


def second_hooks(source: str, config: dict[str, Any]) -> tuple[str | None, str | None]:
    """Gemma Scope 2: its config names modules, else the folder's name tells."""
    at = f"blocks.{layer_in(source)}."
    if "transcoder" in source or "clt" in source:
        layer = f"model.layers.{layer_in(source)}."
        read = config.get("hf_hook_point_in") or f"{layer}pre_feedforward_layernorm.output"
        return str(read), str(config.get("hf_hook_point_out") or f"{layer}post_feedforward_layernorm.output")
    named = next((at + hook for part, hook in SECOND.items() if part in source), None)
    return config.get("hf_hook_point_in") or named, None


def read_llama_scope(folder: Path) -> CoderFile:
    """Read a folder. Activations were scaled to a norm of √d on average: the scale is folded into the weights."""
    path = folder / "hyperparams.json"
    config = read_config(path)
    file = weights_file(folder, "checkpoints/final.safetensors", "final.safetensors")
    size, latents = number(config, "d_model", path), number(config, "d_sae", path)
    shapes = {"encoder.weight": (latents, size), "encoder.bias": (latents,), "decoder.weight": (size, latents), "decoder.bias": (size,)}
    found = take(read_weights(file), file, **shapes)
    norms = config.get("dataset_average_activation_norm")
    norm, threshold = norms.get("in") if isinstance(norms, dict) else None, config.get("jump_relu_threshold")
    if not all(isinstance(value, int | float) for value in (norm, threshold)) or not norm > 0:  # type: ignore[operator]  # a number by now
        raise UserError(f"subject.sae: {path} lacks dataset_average_activation_norm.in or jump_relu_threshold; fetch it again")
    scale = size**0.5 / float(norm)  # type: ignore[arg-type]  # a number by now
    encoder, decoder = found["encoder.weight"].T * scale, found["decoder.weight"].T / scale
    jump = torch.full((latents,), float(threshold) * scale)  # type: ignore[arg-type]  # a number by now
    reads = str(config["hook_point_in"]) if "hook_point_in" in config else None
    writes = str(config["hook_point_out"]) if config.get("hook_point_out") not in (None, reads) else None
    coder = jumping(encoder, found["encoder.bias"], decoder, found["decoder.bias"] / scale, jump, None)
    return CoderFile(coder, "Llama Scope", reads, writes, None, {"architecture": "jumprelu"})
