"""Each format against the library it is of, on random weights: `pip install -e '.[test-sae]'`, some forty packages, is not in every run."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurogloss.subject.sae.latents import read_coder

pytestmark = [
    pytest.mark.slow(reason="sae-lens takes half a minute to import"),
    pytest.mark.skipif(
        importlib.util.find_spec("sae_lens") is None or importlib.util.find_spec("sparsify") is None,
        reason="needs sae-lens and eai-sparsify: the extra test-sae",
    ),
    pytest.mark.filterwarnings("ignore"),  # Those of the libraries.
]
SIZE, LATENTS = 24, 96
METADATA = {"model_name": "gpt2", "hook_name": "blocks.1.hook_resid_post", "sae_lens_version": "6.0.0"}
X = 3 * torch.randn(1000, SIZE, generator=torch.Generator().manual_seed(7)) + 0.3
VARIANTS: list[dict[str, Any]] = [
    {"architecture": "standard"},
    {"architecture": "standard", "apply_b_dec_to_input": False},
    {"architecture": "standard", "normalize_activations": "layer_norm"},
    {"architecture": "standard", "normalize_activations": "constant_norm_rescale"},
    {"architecture": "gated"},
    {"architecture": "jumprelu"},
    {"architecture": "jumprelu", "normalize_activations": "layer_norm"},
    {"architecture": "topk", "k": 7},
    {"architecture": "topk", "k": 7, "rescale_acts_by_decoder_norm": True},
    {"architecture": "transcoder", "d_out": 16, "apply_b_dec_to_input": False},
    {"architecture": "skip_transcoder", "d_out": 16, "apply_b_dec_to_input": False},
    {"architecture": "jumprelu_transcoder", "d_out": 16, "apply_b_dec_to_input": False},
    {"architecture": "jumprelu_skip_transcoder", "d_out": 16, "apply_b_dec_to_input": False},
]


def randomised(module: Any) -> Any:
    """The same with every parameter drawn anew, so that none is at a beginning that hides it."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            scale = 0.3 if parameter.ndim == 2 else 0.2
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator) + (0.5 if "threshold" in name else 0))
    return module


def check(folder: Path, theirs: Tensor, made: Tensor | None = None, source: str | None = None) -> None:
    ours = read_coder(folder, source or str(folder)).coder
    found = ours.encode(X)
    assert (theirs > 0).float().mean() > 0.02
    torch.testing.assert_close(found, theirs, rtol=1e-5, atol=1e-5)
    if made is not None:
        torch.testing.assert_close(ours.reconstruct(X, ours.fire(X)), made, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("settings", VARIANTS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_saelens_encodes_and_decodes_the_same(settings: dict[str, Any], tmp_path: Path) -> None:
    from sae_lens.saes.sae import SAE

    config = {"d_in": SIZE, "d_sae": LATENTS, "dtype": "float32", "device": "cpu", "metadata": METADATA, **settings}
    sae = randomised(SAE.from_dict(config))
    sae.save_model(tmp_path)
    loaded = SAE.load_from_disk(tmp_path)
    with torch.no_grad():
        theirs = loaded.encode(X)
        check(tmp_path, theirs.to_dense() if theirs.is_sparse else theirs, loaded(X))


def test_a_batch_topk_sae_is_read_as_saelens_saves_it(tmp_path: Path) -> None:
    from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
    from sae_lens.saes.sae import SAE

    sae = randomised(BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(d_in=SIZE, d_sae=LATENTS, k=7)))
    sae.topk_threshold.fill_(1.3)
    sae.save_inference_model(tmp_path)
    with torch.no_grad():
        check(tmp_path, SAE.load_from_disk(tmp_path).encode(X))


def test_a_topk_sae_of_before_version_6_that_calls_itself_standard_is_one(tmp_path: Path) -> None:
    from sae_lens.saes.sae import SAE

    sae = randomised(SAE.from_dict({"d_in": SIZE, "d_sae": LATENTS, "architecture": "topk", "k": 5}))
    sae.save_model(tmp_path)
    old = {
        "d_in": SIZE,
        "d_sae": LATENTS,
        "dtype": "float32",
        "device": "cpu",
        "hook_point": "blocks.1.hook_resid_pre",
        "model_name": "gpt2",
    }
    old |= {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 5}, "architecture": "standard", "normalize_activations": False}
    (tmp_path / "cfg.json").write_text(json.dumps(old), encoding="utf-8")
    loaded = SAE.load_from_disk(tmp_path)
    with torch.no_grad():
        check(tmp_path, loaded.encode(X))
    assert (loaded.encode(X) > 0).sum(dim=1).max() <= 5
    assert read_coder(tmp_path, "old").hook == "blocks.1.hook_resid_pre"


@pytest.mark.parametrize(
    "settings", [{}, {"activation": "groupmax", "k": 8}, {"transcode": True}, {"transcode": True, "skip_connection": True}]
)
def test_sparsify_encodes_and_decodes_the_same(settings: dict[str, Any], tmp_path: Path) -> None:
    from sparsify import SparseCoder, SparseCoderConfig

    folder = tmp_path / "layers.1"
    coder = randomised(SparseCoder(SIZE, SparseCoderConfig(**{"num_latents": LATENTS, "k": 6, **settings})))
    coder.save_to_disk(folder)
    loaded = SparseCoder.load_from_disk(folder)
    with torch.no_grad():
        top, indices, _ = loaded.encode(X)
        dense = torch.zeros(len(X), LATENTS).scatter_(1, indices, top)
        check(folder, dense, loaded(X).sae_out)


def gemma_arrays(out: int = SIZE, lower: bool = False) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    w = "w" if lower else "W"
    arrays = {f"{w}_enc": (SIZE, LATENTS), f"{w}_dec": (LATENTS, out), "b_enc": (LATENTS,), "b_dec": (out,), "threshold": (LATENTS,)}
    found = {name: (0.3 * rng.standard_normal(shape)).astype(np.float32) for name, shape in arrays.items()}
    return {**found, "threshold": np.abs(found["threshold"]) + 0.5}


@pytest.mark.parametrize("kind", ["gemma-scope-2b-pt-res", "gemma-scope-2b-pt-transcoders"])
def test_gemma_scope_encodes_and_decodes_as_saelens_reads_it(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sae_lens.loading import pretrained_sae_loaders as loaders
    from sae_lens.saes.sae import SAE

    inside = "layer_1/width_16k/average_l0_5"
    folder = tmp_path / "google" / kind / inside
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **gemma_arrays())
    monkeypatch.setattr(loaders, "hf_hub_download", lambda **_: str(folder / "params.npz"))
    read = loaders.gemma_2_transcoder_huggingface_loader if "trans" in kind else loaders.gemma_2_sae_huggingface_loader
    config, weights, *_ = read(repo_id=f"google/{kind}", folder_name=inside, device="cpu")
    config |= {"d_in": SIZE, "d_sae": LATENTS, "normalize_activations": "none"} | ({"d_out": SIZE} if "trans" in kind else {})
    theirs = SAE.from_dict(config)
    theirs.load_state_dict(weights)
    with torch.no_grad():
        check(folder, theirs.encode(X), theirs(X))
    file = read_coder(folder, f"google/{kind}/{inside}")
    assert (file.hook, file.hook_out, file.model) == (config["hook_name"], config.get("hook_name_out"), "gemma-2-2b")


def test_gemma_scope_2_encodes_and_decodes_as_saelens_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sae_lens.loading import pretrained_sae_loaders as loaders
    from sae_lens.saes.sae import SAE
    from safetensors.numpy import save_file

    inside = "transcoder_all/layer_1_width_16k_l0_small_affine"
    folder = tmp_path / "google" / "gemma-scope-2-270m-pt" / inside
    folder.mkdir(parents=True)
    skip = (0.3 * np.random.default_rng(1).standard_normal((SIZE, 16))).astype(np.float32)
    save_file({**gemma_arrays(16, lower=True), "affine_skip_connection": skip}, folder / "params.safetensors")
    config = loaders._infer_gemma_3_raw_cfg_dict("google/gemma-scope-2-270m-pt", inside)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setattr(
        loaders,
        "hf_hub_download",
        lambda *args, **named: str(
            tmp_path / "google" / "gemma-scope-2-270m-pt" / (args[1] if len(args) > 1 else inside + "/" + named["filename"])
        ),
    )
    monkeypatch.setattr(loaders, "get_safetensors_tensor_shapes", lambda *_: {"w_enc": [SIZE, LATENTS], "w_dec": [LATENTS, 16]})
    config, weights, _ = loaders.gemma_3_sae_huggingface_loader("google/gemma-scope-2-270m-pt", inside, "cpu")
    theirs = SAE.from_dict(config)
    theirs.load_state_dict(weights)
    with torch.no_grad():
        check(folder, theirs.encode(X), theirs(X))
    assert read_coder(folder, str(folder)).hook == "model.layers.1.pre_feedforward_layernorm.output"


def test_llama_scope_encodes_and_decodes_as_saelens_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sae_lens.loading import pretrained_sae_loaders as loaders
    from sae_lens.saes.sae import SAE
    from safetensors.numpy import save_file

    arrays = gemma_arrays()
    stored = {
        "encoder.weight": arrays["W_enc"].T,
        "encoder.bias": arrays["b_enc"],
        "decoder.weight": arrays["W_dec"].T,
        "decoder.bias": arrays["b_dec"],
    }
    (tmp_path / "checkpoints").mkdir()
    save_file({name: np.ascontiguousarray(array) for name, array in stored.items()}, tmp_path / "checkpoints" / "final.safetensors")
    settings = {"d_model": SIZE, "d_sae": LATENTS, "jump_relu_threshold": 0.7, "hook_point_in": "blocks.1.hook_resid_post"}
    settings |= {"dataset_average_activation_norm": {"in": 11.0, "out": 11.0}, "hook_point_out": "blocks.1.hook_resid_post"}
    (tmp_path / "hyperparams.json").write_text(json.dumps(settings), encoding="utf-8")
    monkeypatch.setattr(
        loaders, "hf_hub_download", lambda *args, **named: str(tmp_path / ("hyperparams.json" if args else "checkpoints/final.safetensors"))
    )
    config, weights, _ = loaders.llama_scope_sae_huggingface_loader("fnlp/any", "any", "cpu", cfg_overrides={"dtype": "float32"})
    theirs = SAE.from_dict({**config, "normalize_activations": "none"})
    theirs.load_state_dict(weights)
    theirs.fold_activation_norm_scaling_factor(SIZE**0.5 / 11.0)
    with torch.no_grad():
        check(tmp_path, theirs.encode(X), theirs(X))
