"""A subject is loaded from safetensors or GGUF, without pickles or foreign code; what cannot be one is told in one line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from neurogloss.config.subject import SubjectParams
from neurogloss.errors import UserError
from neurogloss.subject.model import load_subject
from neurogloss.subject.neurons import LLAMA_LIKE
from tests.tiny import save_tiny_model


def load(path: Path | str, site: str = "auto", dtype: str = "float32", bos: str = "auto") -> Any:
    return load_subject(SubjectParams(model=str(path), revision=None, sha256=None, dtype=dtype, site=site, bos=bos))  # type: ignore[arg-type]  # str is narrower there


@pytest.fixture
def model_copy(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_the_tiny_model_is_loaded_with_its_sites_and_bytes(tiny_model: Path) -> None:
    subject = load(tiny_model)
    assert subject.sites == ("model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj")
    assert subject.widths == (48, 48)
    assert subject.bos is None  # The tokenizer has a BOS token, but puts none before a text.
    assert not subject.model.training
    ids = subject.encode(["snow and rain 😀"])[0]
    assert b"".join(subject.vocabulary[token] for token in ids) == "snow and rain 😀".encode()


def test_what_spells_a_special_token_is_text_and_is_counted(tiny_model: Path) -> None:
    subject = load(tiny_model)
    texts = ["the end.</s><s>New", "<s", "snow"]
    for text, ids in zip(texts, subject.encode(texts), strict=True):
        assert not {0, 1} & set(ids)
        assert b"".join(subject.vocabulary[token] for token in ids) == text.encode()
    assert subject.special_tokens_in(texts) == 2


@pytest.mark.parametrize(("setting", "expected"), [("auto", 0), ("none", None), ("</s>", 1), ("a", 66)])
def test_bos_is_what_the_tokenizer_puts_before_a_text_or_what_is_asked_for(model_copy: Path, setting: str, expected: int | None) -> None:
    path = model_copy / "tokenizer.json"
    spelled = json.loads(path.read_text(encoding="utf-8"))
    first = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    spelled["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [first, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}},
    }
    path.write_text(json.dumps(spelled), encoding="utf-8")
    assert load(model_copy, bos=setting).bos == expected


def test_a_bos_that_is_no_token_is_an_error(tiny_model: Path) -> None:
    with pytest.raises(UserError, match="subject.bos is '<bos>', which is no token of .*; expected auto, none or a token such as <s>"):
        load(tiny_model, bos="<bos>")


def test_layers_without_the_projection_are_left_out_under_their_own_numbers_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    save_tiny_model(tmp_path / "model")
    sizes = {
        "vocab_size": 384,
        "hidden_size": 8,
        "intermediate_size": 12,
        "moe_intermediate_size": 4,
        "num_experts": 4,
        "num_experts_per_tok": 2,
    }
    heads = {"num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 4, "mlp_only_layers": [1, 3]}
    Qwen3MoeForCausalLM(Qwen3MoeConfig(**sizes, **heads)).save_pretrained(tmp_path / "model")
    subject = load(tmp_path / "model", site=LLAMA_LIKE)
    assert subject.sites == ("", "model.layers.1.mlp.down_proj", "", "model.layers.3.mlp.down_proj")
    assert subject.widths == (0, 12, 0, 12)
    assert "layers [0, 2] of 4 are left out: they have no model.layers.{layer}.mlp.down_proj" in caplog.text
    seen: dict[int, torch.Tensor] = {}
    subject.activations(torch.ones((2, 5), dtype=torch.int64), [1, 3], lambda layer, found: seen.update({layer: found.clone()}))
    assert {layer: found.shape for layer, found in seen.items()} == {1: (2, 5, 12), 3: (2, 5, 12)}


def test_a_tokenizer_without_bos_feeds_none(tmp_path: Path) -> None:
    subject = load(save_tiny_model(tmp_path / "model", bos=False))
    fed: list[torch.Tensor] = []
    subject.model.base_model.register_forward_pre_hook(lambda _, args, kwargs: fed.append(kwargs["input_ids"]), with_kwargs=True)
    seen: list[torch.Tensor] = []
    subject.activations(torch.ones((2, 5), dtype=torch.int64), [1], lambda _, found: seen.append(found))
    assert subject.bos is None
    assert fed[0].shape == (2, 5)
    assert seen[0].shape == (2, 5, 48)


def test_a_site_may_be_named(tiny_model: Path) -> None:
    subject = load(tiny_model, site="model.layers.{layer}.mlp.gate_proj")
    assert subject.widths == (32, 32)


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ("model.layers.3.mlp.down_proj", "expected a module path with {layer} in it"),
        ("model.layer.{layer}.mlp.down_proj", r"names no module of this llama model; the model has model\.layers\.0\.mlp\.down_proj"),
        ("model.layers.{layer}.mlp.act_fn", "is a SiLUActivation, expected the linear output projection"),
    ],
)
def test_a_site_that_is_none_is_an_error(tiny_model: Path, site: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load(tiny_model, site=site)


def test_an_unknown_architecture_says_what_to_set(tmp_path: Path) -> None:

    from transformers import XGLMConfig, XGLMForCausalLM

    save_tiny_model(tmp_path / "model")
    config = XGLMConfig(vocab_size=50, d_model=8, ffn_dim=8, num_layers=1, attention_heads=2)
    XGLMForCausalLM(config).save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match="does not know the architecture 'xglm', it knows .*gpt2.*; set subject.site"):
        load(tmp_path / "model")


def test_a_model_that_is_not_causal_is_an_error(model_copy: Path) -> None:
    edit_config(model_copy, model_type="t5", architectures=["T5ForConditionalGeneration"])
    with pytest.raises(UserError, match="is a t5 model, expected a causal language model"):
        load(model_copy)


def test_pickled_weights_are_refused(model_copy: Path) -> None:
    weights = model_copy / "model.safetensors"
    weights.rename(model_copy / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"holds no \.safetensors weights \(pickled weights are not read\)"):
        load(model_copy)


def test_code_that_comes_with_a_model_is_not_run(model_copy: Path) -> None:
    edit_config(model_copy, model_type="foreign", auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"})
    (model_copy / "evil.py").write_text("raise SystemExit('executed')", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be loaded as a causal language model"):
        load(model_copy)


def test_broken_weights_are_an_error(model_copy: Path) -> None:
    weights = model_copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UserError, match="cannot be loaded"):
        load(model_copy)


def test_weights_that_are_missing_are_never_filled_in(model_copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(model_copy / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, model_copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 weights, such as model\.layers\.1\.mlp\.up_proj\.weight"):
        load(model_copy)


def test_a_missing_model_and_a_file_that_is_none_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load("./no/model")
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    with pytest.raises(UserError, match=r"is a \.txt file, expected a folder with safetensors or a \.gguf file"):
        load(tmp_path / "notes.txt")
    (tmp_path / "junk.gguf").write_bytes(b"junk" * 100)
    with pytest.raises(UserError, match="cannot be loaded"):
        load(tmp_path / "junk.gguf")


def test_half_precision_activations_can_be_recorded(tiny_model: Path) -> None:
    seen: list[torch.Tensor] = []
    load(tiny_model, dtype="bfloat16").activations(torch.ones((2, 5), dtype=torch.int64), [1], lambda _, found: seen.append(found.clone()))
    assert seen[0].dtype == torch.bfloat16
