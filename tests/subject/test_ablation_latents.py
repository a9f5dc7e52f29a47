"""Latents and transcoder features with another value: equal to forward passes in which the stream is changed by hand, module by module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import Tensor

from neurogloss.config.subject import SaeParams
from neurogloss.errors import UserError
from neurogloss.subject.ablation import divergences
from neurogloss.subject.changes import Change
from neurogloss.subject.model import Subject
from neurogloss.subject.sae.latents import Latents, find_latents
from tests.subject.coders import LATENTS, arrays, save_gemma_scope, save_saelens, save_sparsify
from tests.subject.test_architectures import LLAMA, random_subject

TOKENS = np.random.default_rng(1).integers(3, 50, (4, 9)).astype(np.int32)
W = {name: torch.from_numpy(array) for name, array in arrays().items()}
Edit = Callable[[str, Tensor], Tensor]
"""What stands at a place, changed or not; called at every place of layer 1, in the order in which they are computed."""


def llama_by_hand(model: Any, tokens: Tensor, edit: Edit) -> Tensor:
    """Next-token probabilities; the modules are called one by one, no hook is set."""
    inner = model.model
    hidden = inner.embed_tokens(tokens)
    angles = inner.rotary_emb(hidden, torch.arange(tokens.shape[1])[None])
    for number, block in enumerate(inner.layers):
        at: Edit = edit if number == 1 else lambda _, seen: seen
        hidden = at("pre", hidden)
        middle = at("mid", hidden + block.self_attn(block.input_layernorm(hidden), position_embeddings=angles, attention_mask=None)[0])
        norm = block.post_attention_layernorm
        normalized = at("normalized", norm(middle) / norm.weight)
        given = at("mlp.in", normalized * norm.weight)
        hidden = at("post", middle + at("mlp_out", block.mlp(given)))
    return model.lm_head(inner.norm(hidden)).double().softmax(dim=-1)  # type: ignore[no-any-return]  # a tensor


def relu(x: Tensor) -> Tensor:
    return ((x - W["b_dec"]) @ W["W_enc"] + W["b_enc"]).relu()


def top_six(x: Tensor) -> Tensor:
    values = x @ W["W_enc"] + W["b_enc"]
    return values.relu() * (values >= values.topk(6, dim=-1).values[..., -1:])


def jumping(x: Tensor) -> Tensor:
    values = x @ W["W_enc"] + W["b_enc"]
    return values.relu() * (values > W["threshold"])


def rescaled(x: Tensor) -> Tensor:
    scaled = x * x.shape[-1] ** 0.5 / x.norm(dim=-1, keepdim=True)
    return relu(scaled)


def save_skipping(folder: Path) -> Path:
    """A transcoder with a skip connection, which no feature has a part in."""
    save_sparsify(folder, transcode=True, skip_connection=True)
    from safetensors.numpy import load_file

    skip = np.random.default_rng(3).standard_normal((32, 32)).astype(np.float32)
    save_file({**load_file(folder / "sae.safetensors"), "W_skip": skip}, folder / "sae.safetensors")
    return folder


def rescaled_sae(folder: Path) -> Path:
    return save_saelens(folder, normalize_activations="constant_norm_rescale")


KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Tensor], Tensor], str, str, str]] = {
    "before the layer": (save_saelens, relu, "blocks.1.hook_resid_pre", "pre", "pre"),
    "in its middle": (save_saelens, relu, "blocks.1.hook_resid_mid", "mid", "mid"),
    "after it": (save_saelens, relu, "blocks.1.hook_resid_post", "post", "post"),
    "what the MLP adds": (save_saelens, relu, "blocks.1.hook_mlp_out", "mlp_out", "mlp_out"),
    "what the MLP is given": (save_saelens, relu, "blocks.1.mlp.hook_in", "mlp.in", "mlp.in"),
    "a norm without its weights": (save_saelens, relu, "blocks.1.ln2.hook_normalized", "normalized", "normalized"),
    "of a constant norm": (rescaled_sae, rescaled, "blocks.1.hook_resid_post", "post", "post"),
    "above a threshold": (save_gemma_scope, jumping, "blocks.1.hook_resid_post", "post", "post"),
    "a transcoder": (lambda folder: save_sparsify(folder / "layers.1.mlp", transcode=True), top_six, "auto", "mlp.in", "mlp_out"),
    "a transcoder that skips": (lambda folder: save_skipping(folder / "layers.1.mlp"), top_six, "auto", "mlp.in", "mlp_out"),
}


def by_hand(subject: Subject, change: Change, kind: str) -> float:
    """The divergence as it is defined: the stream plus (other value - value) times the decoder's row, all else as it was."""
    _, encode, _, read, written = KINDS[kind]
    tokens = torch.cat([torch.tensor([[1]]), torch.from_numpy(TOKENS[[change.excerpt]]).long()], dim=1)
    values: dict[str, Tensor] = {}

    def changed(place: str, seen: Tensor) -> Tensor:
        if place == read:
            values["own"] = encode(seen)[..., change.neuron]
            values["norm"] = seen.norm(dim=-1) / seen.shape[-1] ** 0.5 if encode is rescaled else torch.ones_like(values["own"])
        if place != written:
            return seen
        missing = torch.zeros_like(values["own"])
        missing[0, 1:] = torch.from_numpy(change.values) - values["own"][0, 1:]
        return seen + (missing * values["norm"])[..., None] * W["W_dec"][change.neuron]

    with torch.inference_mode():
        p, q = (llama_by_hand(subject.model, tokens, edit)[0, 1:] for edit in (lambda _, seen: seen, changed))
    middle = (p + q) / 2
    return float((((p * (p / middle).log()) + (q * (q / middle).log())).sum(dim=-1) / 2).mean())


def with_latents(kind: str, folder: Path) -> Subject:
    plain = random_subject("llama", LLAMA, 1)
    write, _, hook, *_ = KINDS[kind]
    units = find_latents(plain.model, SaeParams(source=str(write(folder)), hook=hook), "tiny")
    return Subject(plain.model, plain.tokenizer, [], 1, units, plain.loader)


@pytest.mark.parametrize("kind", KINDS)
def test_a_latent_with_another_value_changes_what_its_row_of_the_decoder_adds(kind: str, tmp_path: Path) -> None:
    subject = with_latents(kind, tmp_path)
    assert [units is not None for units in subject.units] == [False, True, False]
    rng = np.random.default_rng(0)
    chosen = [(excerpt, int(latent)) for excerpt in (2, 0, 3) for latent in rng.choice(LATENTS, 3, replace=False)]
    changes = [Change(excerpt, 1, latent, rng.normal(1.0, 2.0, TOKENS.shape[1]).astype(np.float32)) for excerpt, latent in chosen]
    expected = [by_hand(subject, change, kind) for change in changes]
    np.testing.assert_allclose(divergences(subject, TOKENS, changes), expected, rtol=1e-4, atol=1e-9)
    assert min(expected) > 1e-7


def test_the_values_that_a_latent_has_change_nothing(tmp_path: Path) -> None:
    for kind in KINDS:
        subject = with_latents(kind, tmp_path / kind)
        shown: dict[str, Tensor] = {}
        tokens = torch.cat([torch.ones(4, 1, dtype=torch.int64), torch.from_numpy(TOKENS).long()], dim=1)
        with torch.inference_mode():
            llama_by_hand(subject.model, tokens, lambda place, seen, shown=shown: shown.setdefault(place, seen))
        values = KINDS[kind][1](shown[KINDS[kind][3]])[:, 1:]
        firing = int((values > 0).sum(dim=(0, 1)).argmax())
        assert (values[..., firing] > 0).any()
        changes = [Change(excerpt, 1, firing, values[excerpt, :, firing].numpy()) for excerpt in range(4)]
        assert divergences(subject, TOKENS, changes).max() < 1e-10, kind


def test_a_transcoder_from_one_layer_to_another_is_told(tmp_path: Path) -> None:
    from dataclasses import replace

    subject = with_latents("a transcoder", tmp_path)
    units = subject.units[1]
    assert isinstance(units, Latents)
    across = replace(units, target=replace(units.target, layer=2, module=units.target.module.replace(".1.", ".2.")))
    with pytest.raises(UserError, match="reads layer 1 and writes to layer 2; ablation needs both in one layer"):
        across.alter(subject.model, lambda seen: seen)
