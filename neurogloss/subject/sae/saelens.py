"""SAELens: cfg.json and sae_weights.safetensors, of version 6 and of older ones."""

from pathlib import Path
from typing import Any, get_args

import torch

from neurogloss.errors import UserError
from neurogloss.subject.sae.coder import Activation, Coder, Gate, Normalisation
from neurogloss.subject.sae.files import CoderFile, number, read_config, read_weights, take, weights_file

RENAMED = {"hook_point": "hook_name", "activation_fn_str": "activation_fn"}
ARCHITECTURES: dict[str, Activation] = {
    "standard": "relu",
    "gated": "gated",
    "jumprelu": "jumprelu",
    "topk": "topk",
    "batchtopk": "jumprelu",
    "matryoshka_batchtopk": "jumprelu",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}


def read_saelens(folder: Path) -> CoderFile:
    """Read a folder."""
    path = folder / "cfg.json"
    config = modern(read_config(path))
    architecture = str(config.get("architecture", "standard"))
    if architecture not in ARCHITECTURES:
        raise UserError(f"subject.sae: {path} is of architecture {architecture!r}, known are {', '.join(ARCHITECTURES)}")
    file = weights_file(folder, "sae_weights.safetensors")
    weights, size, latents = read_weights(file), number(config, "d_in", path), number(config, "d_sae", path)
    activation, transcodes = activation_of(config, architecture, path), "transcoder" in architecture
    out = number(config, "d_out", path) if transcodes else size
    shapes: dict[str, tuple[int, ...]] = {"W_enc": (size, latents), "W_dec": (latents, out), "b_dec": (out,)}
    shapes |= dict.fromkeys(("b_gate", "r_mag", "b_mag") if activation == "gated" else ("b_enc",), (latents,))
    shapes |= {"threshold": (latents,)} if activation == "jumprelu" else {}
    shapes |= {"W_skip": (out, size)} if "skip" in architecture else {}
    found = take(weights, file, **shapes)
    scale = weights.get("scaling_factor", torch.ones(1))
    if not torch.allclose(scale, torch.ones_like(scale)):
        raise UserError(f"subject.sae: {file} has a scaling_factor that is not 1, which only fine-tuned SAEs have and no version 6 reads")
    metadata = config["metadata"]
    return CoderFile(
        Coder(
            found["W_enc"].contiguous(),
            found.get("b_enc", torch.zeros(latents)),
            found["W_dec"].contiguous(),
            found["b_dec"],
            activation,
            number(config, "k", path) if activation == "topk" else 0,
            found.get("threshold"),
            Gate(found["b_gate"], found["r_mag"], found["b_mag"]) if activation == "gated" else None,
            bool(config.get("apply_b_dec_to_input", True)) and not transcodes,
            normalisation(config, path),
            activation == "topk" and bool(config.get("rescale_acts_by_decoder_norm")),
            found.get("W_skip"),
        ),
        "SAELens",
        metadata.get("hf_hook_name") or metadata.get("hook_name"),
        (metadata.get("hf_hook_name_out") or metadata.get("hook_name_out")) if transcodes else None,
        metadata.get("model_name"),
        {"architecture": architecture, "head": metadata.get("hook_head_index")},
    )


def modern(config: dict[str, Any]) -> dict[str, Any]:
    """A config of any version with the names of version 6 and what stood outside of `metadata` in it."""
    found = {RENAMED.get(key, key): value for key, value in config.items()}
    metadata = found.get("metadata")
    found["metadata"] = {**found, **metadata} if isinstance(metadata, dict) else dict(found)
    return found


def activation_of(config: dict[str, Any], architecture: str, path: Path) -> Activation:
    """The activation function. Before version 6 a top-k SAE was called standard: its k stands beside, read as ReLU it would fire always."""
    function, arguments = config.get("activation_fn", "relu"), config.get("activation_fn_kwargs") or {}
    if architecture == "standard" and function == "topk":
        if "k" not in arguments:
            raise UserError(f"subject.sae: {path} is a top-k SAE without its k; write activation_fn_kwargs: {{k: …}} into it")
        config["k"] = arguments["k"]
        return "topk"
    if function not in ("relu", "topk"):
        raise UserError(f"subject.sae: activation_fn of {path} is {function!r}, known are relu and topk")
    if architecture == "topk" and "k" not in config and "k" in arguments:
        config["k"] = arguments["k"]
    return ARCHITECTURES[architecture]


def normalisation(config: dict[str, Any], path: Path) -> Normalisation:
    """What is done to the activations first; a mean norm that was folded into the weights needs nothing."""
    name = config.get("normalize_activations") or "none"
    if name in (False, "expected_average_only_in"):
        return "none"
    if name is True:
        return "none"  # Of old: the same fold.
    for known in get_args(Normalisation):
        if name == known:
            return known  # type: ignore[no-any-return]  # one of the literals
    raise UserError(f"subject.sae: normalize_activations of {path} is {name!r}; fold it into the weights and set it to none")
