"""Small autoencoders of random weights, written the way each library writes them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

LATENTS = 96


def arrays(size: int = 32, latents: int = LATENTS, out: int | None = None, seed: int = 0) -> dict[str, np.ndarray]:
    rng, out = np.random.default_rng(seed), size if out is None else out
    shapes = {"W_enc": (size, latents), "b_enc": (latents,), "W_dec": (latents, out), "b_dec": (out,), "threshold": (latents,)}
    found = {name: (0.3 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
    return {**found, "threshold": np.abs(found["threshold"]) + 0.4}


def save_saelens(folder: Path, weights: dict[str, np.ndarray] | None = None, **changes: Any) -> Path:
    """SAELens 6, standard unless `architecture` says otherwise; `metadata` replaces what it says of the model."""
    weights = {k: v for k, v in (weights or arrays()).items() if k != "threshold" or "jumprelu" in changes.get("architecture", "")}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(array) for name, array in weights.items()}, folder / "sae_weights.safetensors")
    config = {"architecture": "standard", "d_in": len(weights["W_enc"]), "d_sae": weights["W_enc"].shape[1], "dtype": "float32"}
    config |= {"apply_b_dec_to_input": True, "normalize_activations": "none", "metadata": {"hook_name": "blocks.1.hook_resid_post"}}
    (folder / "cfg.json").write_text(json.dumps(config | changes), encoding="utf-8")
    return folder


def save_sparsify(folder: Path, **changes: Any) -> Path:
    found = arrays()
    folder.mkdir(parents=True, exist_ok=True)
    weights = {"encoder.weight": found["W_enc"].T, "encoder.bias": found["b_enc"], "W_dec": found["W_dec"], "b_dec": found["b_dec"]}
    save_file({name: np.ascontiguousarray(array) for name, array in weights.items()}, folder / "sae.safetensors")
    config = {"activation": "topk", "expansion_factor": 3, "num_latents": 0, "k": 6, "d_in": 32, "transcode": False}
    (folder / "cfg.json").write_text(json.dumps(config | changes), encoding="utf-8")
    return folder


def save_gemma_scope(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "params.npz", **arrays())
    return folder
