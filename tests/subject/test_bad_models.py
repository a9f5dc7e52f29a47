"""Checkpoints that cannot be a subject, and texts that do not fit one, are one line each."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurogloss.config.params import load_params
from neurogloss.config.subject import SubjectParams
from neurogloss.corpus.windows import Excerpts
from neurogloss.errors import UserError
from neurogloss.llm.local.provider import count_tokens
from neurogloss.recording.run import check_fits
from neurogloss.subject.model import load_subject


@pytest.mark.parametrize(
    "change",
    [
        {"quantization_config": {"quant_method": "gptq", "bits": 4}},
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}},
        {"hidden_size": "big"},
        {"num_hidden_layers": None},
        {"intermediate_size": 64},
    ],
    ids=["gptq", "bitsandbytes", "text", "null", "shape"],
)
def test_a_checkpoint_that_cannot_be_loaded_is_one_line(change: dict[str, Any], tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    with pytest.raises(UserError, match="cannot be loaded as a causal language model .*; check subject.model") as raised:
        load_subject(SubjectParams.model_validate({"model": str(tmp_path / "m")}))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("size", [0, 3, 4, 24, 30, 60, 200, -2, 0.5])
def test_a_gguf_file_that_is_cut_is_one_line(size: float, tmp_path: Path) -> None:
    path = small_gguf(tmp_path / "m.gguf")
    content = path.read_bytes()
    path.write_bytes(content[: int(size * len(content)) if isinstance(size, float) else size])
    with pytest.raises(UserError, match=r"m.gguf cannot be loaded as a causal language model .*; check subject.model") as raised:
        load_subject(SubjectParams.model_validate({"model": str(path)}))
    assert "\n" not in str(raised.value)


def test_a_vocabulary_that_contradicts_itself_is_one_line(tmp_path: Path) -> None:
    path = small_gguf(tmp_path / "m.gguf", merges=("a z",))
    with pytest.raises(UserError, match=r"m.gguf cannot be loaded as a causal language model \(.*; check subject.model"):
        load_subject(SubjectParams.model_validate({"model": str(path)}))
    model = load_params(Path(__file__).parents[2] / "params.yaml").model("smollm2", "")
    with pytest.raises(UserError, match=r"m.gguf has no tokenizer that can be loaded \(.*\); check models"):
        count_tokens(model.model_copy(update={"name": str(path), "sha256": None}))


def small_gguf(path: Path, merges: tuple[str, ...] = ("a b",)) -> Path:
    """A file with everything but most of its weights."""
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b", "ab"])
    writer.add_token_merges(list(merges))
    writer.add_token_types([1, 1, 1])
    writer.add_tensor("token_embd.weight", np.zeros((3, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_excerpts_that_do_not_fit_the_model_are_one_line(tiny_model: Path) -> None:
    subject = load_subject(SubjectParams.model_validate({"model": str(tiny_model)}))
    fits = Excerpts(["d"], np.zeros(1, np.int32), np.zeros((1, 512), np.int32), np.zeros(1, bool))
    check_fits(subject, "tiny", fits)
    with pytest.raises(UserError, match=r"record.tokens is 513, and tiny has 512 places"):
        check_fits(subject, "tiny", replace(fits, tokens=np.zeros((1, 513), np.int32)))
    with pytest.raises(UserError, match=r"gives the token 9999, and its embedding has \d+ rows"):
        check_fits(subject, "tiny", replace(fits, tokens=np.full((1, 5), 9999, np.int32)))
