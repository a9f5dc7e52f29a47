"""Coders: every format by its formula, where they read, and what is said of files that are not one (the libraries: test_sae_peers)."""

import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from neurogloss.config.subject import SaeParams, SubjectParams
from neurogloss.errors import UserError
from neurogloss.subject.model import Subject, load_subject
from neurogloss.subject.sae.latents import Latents, find_latents, read_coder
from neurogloss.subject.sae.places import find_place
from tests.subject.coders import LATENTS, arrays, save_gemma_scope, save_saelens, save_sparsify

X = 2 * torch.randn(50, 32, generator=torch.Generator().manual_seed(1))
TOKENS = torch.randint(3, 300, (4, 11), generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def subject(tiny_model: Path) -> Subject:
    return load_subject(SubjectParams(model=str(tiny_model), bos="<s>"))


def largest(values: Tensor, k: int) -> Tensor:
    """Those of each row that are among its k largest, the others zero."""
    return values.relu() * (values >= values.topk(k, dim=1).values[:, -1:])


def by_hand(w: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    inner = (x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
    plain = x @ w["W_enc"] + w["b_enc"]
    centred = x - x.mean(1, keepdim=True)
    normed = (centred / (centred.std(1, keepdim=True) + 1e-5) - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
    return {
        "standard": inner.relu(),
        "layer_norm": normed.relu(),
        "jumprelu": inner.relu() * (inner > w["threshold"]),
        "gemma": plain.relu() * (plain > w["threshold"]),
        "topk": largest(inner, 5),
        "rescaled": largest(inner * w["W_dec"].norm(dim=1), 5),
        "sparsify": largest(inner, 6),
        "transcoder": largest(plain, 6),
    }


WRITERS: dict[str, Callable[[Path], Path]] = {
    "standard": lambda folder: save_saelens(folder),
    "layer_norm": lambda folder: save_saelens(folder, normalize_activations="layer_norm"),
    "jumprelu": lambda folder: save_saelens(folder, architecture="jumprelu"),
    "topk": lambda folder: save_saelens(folder, architecture="topk", k=5),
    "rescaled": lambda folder: save_saelens(folder, architecture="topk", k=5, rescale_acts_by_decoder_norm=True),
    "gemma": lambda folder: save_gemma_scope(folder / "gemma-scope-2b-pt-res" / "layer_1"),
    "sparsify": lambda folder: save_sparsify(folder / "layers.1"),
    "transcoder": lambda folder: save_sparsify(folder / "layers.1.mlp", transcode=True),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_coder_encodes_by_its_formula(kind: str, tmp_path: Path) -> None:
    folder = WRITERS[kind](tmp_path)
    expected = by_hand({name: torch.from_numpy(array) for name, array in arrays().items()}, X)[kind]
    assert 0.02 < (expected > 0).float().mean() < 0.7
    torch.testing.assert_close(read_coder(folder, str(folder)).coder.encode(X), expected, rtol=1e-5, atol=1e-5)


def test_a_topk_coder_that_an_old_config_calls_standard_is_one_and_without_k_is_refused(tmp_path: Path) -> None:
    old = {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 5}, "hook_point": "blocks.0.hook_resid_pre", "metadata": None}
    file = read_coder(save_saelens(tmp_path / "a", **old), "a")
    assert file.hook == "blocks.0.hook_resid_pre" and file.coder.activation == "topk"
    assert (file.coder.encode(X) > 0).sum(dim=1).max() == 5
    with pytest.raises(UserError, match=r"top-k SAE without its k"):
        read_coder(save_saelens(tmp_path / "b", **{**old, "activation_fn_kwargs": {}}), "b")


def test_some_rows_at_a_time_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coder = read_coder(save_saelens(tmp_path), "x").coder
    whole = coder.fire(X)
    monkeypatch.setattr("neurogloss.subject.sae.coder.AT_ONCE", 7 * LATENTS)
    for one, other in zip(whole, coder.fire(X), strict=True):
        torch.testing.assert_close(one, other)


def latents_of(subject: Subject, folder: Path, **changes: Any) -> Latents:
    found = find_latents(subject.model, SaeParams(source=str(folder), **changes), "tiny")
    (units,) = (units for units in found if units is not None)
    assert isinstance(units, Latents)
    return units


@pytest.mark.parametrize(
    ("hook", "module", "output"),
    [
        ("blocks.1.hook_resid_pre", "model.layers.1", False),
        ("blocks.1.hook_resid_post", "model.layers.1", True),
        ("blocks.1.hook_resid_mid", "model.layers.1.post_attention_layernorm", False),
        ("blocks.1.hook_mlp_out", "model.layers.1.mlp.down_proj", True),
        ("blocks.1.hook_attn_out", "model.layers.1.self_attn.o_proj", True),
        ("blocks.1.attn.hook_z", "model.layers.1.self_attn.o_proj", False),
        ("blocks.1.mlp.hook_in", "model.layers.1.mlp", False),
        ("blocks.1.mlp.hook_post", "model.layers.1.mlp.down_proj", False),
        ("blocks.1.ln2.hook_normalized", "model.layers.1.post_attention_layernorm", True),
        ("layers.1.output", "model.layers.1", True),
        ("layers.1.mlp.input", "model.layers.1.mlp", False),
        ("model.layers.1.input_layernorm.output", "model.layers.1.input_layernorm", True),
    ],
)
def test_names_of_hooks_are_modules_of_the_model(hook: str, module: str, output: bool, subject: Subject) -> None:
    place = find_place(subject.model, hook)
    assert (place.layer, place.module, place.output) == (1, module, output)


@pytest.mark.parametrize("kind", ["gemma2", "gemma3_text", "olmo2"])
def test_what_an_mlp_adds_is_read_after_a_norm_that_follows_it(kind: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "head_dim": 8}
    config = AutoConfig.for_model(kind, **sizes, num_attention_heads=2, num_key_value_heads=2, pad_token_id=None)
    model = AutoModelForCausalLM.from_config(config).eval()
    assert find_place(model, "blocks.1.hook_mlp_out").module == "model.layers.1.post_feedforward_layernorm"
    assert find_place(model, "blocks.1.hook_attn_out").module == "model.layers.1.post_attention_layernorm"
    if kind == "olmo2":
        with pytest.raises(UserError, match="have no norm before the MLP alone"):
            find_place(model, "blocks.1.ln2.hook_normalized")
    else:
        assert find_place(model, "blocks.1.ln2.hook_normalized").module == "model.layers.1.pre_feedforward_layernorm"
        assert find_place(model, "blocks.0.hook_resid_mid").module == "model.layers.0.pre_feedforward_layernorm"


@pytest.mark.parametrize(
    "hook", ["blocks.1.hook_resid_post", "blocks.0.ln2.hook_normalized", "layers.1.mlp.input", "blocks.1.hook_resid_pre"]
)
def test_latents_of_a_forward_pass_are_the_encoding_of_what_stands_there(hook: str, tiny_model: Path, tmp_path: Path) -> None:
    sae = SaeParams(source=str(save_saelens(tmp_path)), hook=hook)
    subject = load_subject(SubjectParams(model=str(tiny_model), bos="<s>", units="latents", sae=sae))
    (units,) = (units for units in subject.units if units is not None)
    assert isinstance(units, Latents)
    states: list[Tensor] = []
    block = subject.model.model.layers[units.place.layer]
    if "normalized" in hook:
        norm = block.post_attention_layernorm
        norm.register_forward_hook(lambda _, inputs, output: states.append(output / norm.weight), prepend=True)
    elif "resid_post" in hook:
        block.register_forward_hook(lambda _, inputs, output: states.append(output), prepend=True)
    else:
        watched = block.mlp if "mlp" in hook else block
        watched.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]), prepend=True)
    shown: dict[int, Tensor] = {}
    subject.activations(TOKENS, [units.place.layer], lambda layer, values: shown.update({layer: values}))
    found = shown[units.place.layer]
    assert found.is_sparse and found.is_coalesced() and found.shape == (4, 11, LATENTS)
    expected = units.file.coder.encode(states[0].reshape(-1, 32)).reshape(4, 12, LATENTS)[:, 1:]
    torch.testing.assert_close(found.to_dense(), expected, rtol=1e-5, atol=1e-5)


def test_a_reconstruction_is_the_decoder_on_what_fired(tmp_path: Path) -> None:
    for kind, changes in {"plain": {}, "normed": {"normalize_activations": "constant_norm_rescale"}}.items():
        coder = read_coder(save_saelens(tmp_path / kind, **changes), kind).coder
        w = {name: torch.from_numpy(array) for name, array in arrays().items()}
        factor = 32**0.5 / X.norm(dim=1, keepdim=True) if changes else torch.ones(())
        expected = (((X * factor - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu() @ w["W_dec"] + w["b_dec"]) / factor
        torch.testing.assert_close(coder.reconstruct(X, coder.fire(X)), expected, rtol=1e-4, atol=1e-4)


def spoilt(folder: Path, name: str, value: Any) -> None:
    file = folder / "sae_weights.safetensors"
    weights = load_file(file)
    weights[name] = weights[name].copy()
    weights[name].flat[3] = value
    save_file(weights, file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "sae_weights.safetensors").unlink(), r"has a config but no weights, expected sae_weights.safetensors"),
        (lambda f: (f / "sae_weights.safetensors").rename(f / "ae.pt"), r"has its weights as pickles \(ae.pt\), which can run code"),
        (lambda f: (f / "sae_weights.safetensors").write_bytes(b"\x00" * 40), r"is cut short or holds pickled objects"),
        (lambda f: spoilt(f, "W_dec", np.nan), r"W_dec of .* holds NaN or infinity"),
        (lambda f: (f / "cfg.json").unlink(), r"expected a folder of SAELens, sparsify, Gemma Scope or Llama Scope"),
        (lambda f: (f / "cfg.json").write_text("{"), r"is not readable JSON"),
        (lambda f: (f / "cfg.json").write_text("[]"), r"holds list, expected an object"),
        (lambda f: save_saelens(f, d_sae=95), r"W_enc is \(32, 96\), expected \(32, 95\); W_dec is"),
        (lambda f: save_saelens(f, architecture="topk"), r"k of .* is None, expected a whole number above zero"),
        (lambda f: save_saelens(f, architecture="crosscoder"), r"architecture 'crosscoder', known are standard"),
        (lambda f: save_saelens(f, architecture="gated"), r"b_gate is missing; r_mag is missing"),
        (lambda f: save_saelens(f, normalize_activations="covariance_whitening"), r"fold it into the weights"),
        (lambda f: save_saelens(f, activation_fn="tanh-relu"), r"activation_fn of .* is 'tanh-relu'"),
        (lambda f: save_saelens(f, {**arrays(), "scaling_factor": np.full(96, 2.0, np.float32)}), r"scaling_factor that is not 1"),
        (lambda f: save_saelens(f, arrays(size=24)), r"reads 24 numbers, model.layers.1 of the subject has 32; it is of another model"),
        (lambda f: save_saelens(f, metadata={}), r"does not say where it reads; set subject.sae.hook"),
        (lambda f: save_saelens(f, metadata={"hook_name": "blocks.1.hook_k"}), r"reads 'blocks.1.hook_k', but known are hook_resid_pre"),
        (lambda f: save_saelens(f, metadata={"hook_name": "blocks.7.hook_resid_post"}), r"the subject has no layer 7"),
        (lambda f: save_saelens(f, metadata={"hook_name": "layers.1.router"}), r"'layers.1.router', which is no module of the subject"),
        (lambda f: save_saelens(f, metadata={"hook_name": "blocks.1.attn.hook_z", "hook_head_index": 3}), r"reads one head alone"),
    ],
)
def test_what_is_no_coder_of_this_model_is_refused_with_the_reason(
    spoil: Callable[[Path], Any], message: str, subject: Subject, tmp_path: Path
) -> None:
    spoil(save_saelens(tmp_path))
    with pytest.raises(UserError, match=f"subject.sae.*{message}"):
        latents_of(subject, tmp_path)


def test_pickles_are_never_opened(subject: Subject, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "owned").touch, ())

    (tmp_path / "ae.pt").write_bytes(pickle.dumps(Payload()))
    for source in (tmp_path, tmp_path / "ae.pt"):
        with pytest.raises(UserError, match="pickle"):
            latents_of(subject, source)
    folder = tmp_path / "gemma-scope-2b-pt-res" / "layer_1"
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", W_enc=np.array([Payload()], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="cut short or holds pickled objects"):
        latents_of(subject, folder)
    assert not (tmp_path / "owned").exists()


def test_a_coder_of_another_model_is_warned_of_and_two_on_one_layer_are_refused(
    subject: Subject, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metadata = {"hook_name": "blocks.1.hook_resid_post", "model_name": "google/gemma-2-2b"}
    folder = save_saelens(tmp_path, metadata=metadata)
    with caplog.at_level(logging.WARNING):
        find_latents(subject.model, SaeParams(source=str(folder)), "openai-community/gpt2")
    assert "was trained on google/gemma-2-2b, the subject is openai-community/gpt2" in caplog.text
    caplog.clear()
    find_latents(subject.model, SaeParams(source=str(folder)), "unsloth/gemma-2-2b-bnb")
    assert not caplog.text
    with pytest.raises(UserError, match="reads layer 1, but another one reads there, too"):
        find_latents(subject.model, SaeParams(source=[str(folder)] * 2), "tiny")


def test_units_and_coder_have_to_be_named_together(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="subject.units is latents, but subject.sae names no autoencoder"):
        load_subject(SubjectParams(model=str(tiny_model), units="latents"))
    with pytest.raises(UserError, match="subject.sae is set, but subject.units is neurons; set it to latents"):
        load_subject(SubjectParams(model=str(tiny_model), sae=SaeParams(source="x")))
    with pytest.raises(UserError, match="nowhere does not exist; expected a folder, OWNER/NAME/FOLDER or pypi"):
        load_subject(SubjectParams(model=str(tiny_model), units="latents", sae=SaeParams(source="nowhere")))


def test_what_is_read_and_not_finite_is_an_error(subject: Subject, tmp_path: Path) -> None:
    units = latents_of(subject, save_saelens(tmp_path))
    seen = torch.ones(2, 3, 32)
    seen[1, 2, 5] = torch.nan
    with pytest.raises(UserError, match="model.layers.1 gives NaN or infinite activations"):
        units.values(seen)


def test_a_config_beside_gemma_scopes_weights_says_where_they_read(tmp_path: Path) -> None:
    folder = save_gemma_scope(tmp_path / "google" / "gemma-scope-9b-pt-mlp" / "layer_21" / "width_16k" / "average_l0_5")
    file = read_coder(folder, str(folder))
    assert (file.hook, file.model, file.format) == ("blocks.21.hook_mlp_out", "gemma-2-9b", "Gemma Scope")
    second = tmp_path / "gemma-scope-2-1b-pt" / "transcoder" / "layer_3_width_16k"
    second.mkdir(parents=True)
    save_file({name.replace("W_", "w_"): array for name, array in arrays().items()}, second / "params.safetensors")
    assert read_coder(second, str(second)).hook == "model.layers.3.pre_feedforward_layernorm.output"
    (second / "config.json").write_text(json.dumps({"hf_hook_point_in": "model.layers.3.mlp.input"}), encoding="utf-8")
    assert read_coder(second, str(second)).hook == "model.layers.3.mlp.input"
