"""A GGUF file's pre-tokenizer is the one it names, by llama.cpp's rules; one that nobody knows is said."""

from pathlib import Path
from typing import Any

import pytest

from neurogloss.subject.gguf_file import correct_pre_tokenizer, strings


class Tokenizer:
    """What transformers makes of a byte-level vocabulary: GPT-2's rules."""

    def __init__(self) -> None:
        from tokenizers import Tokenizer as Backend
        from tokenizers import models, pre_tokenizers

        self.backend_tokenizer: Any = Backend(models.BPE())
        self.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)

    def cut(self, text: str) -> list[str]:
        return [
            part.replace("\u0120", " ").replace("\u010a", "\n") for part, _ in self.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)
        ]


def write(path: Path, pre: str | None, model: str = "gpt2") -> Path:
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_tokenizer_model(model)
    writer.add_token_list(["a", "b" * 300, ""])
    writer.add_token_types([1, 1, 3])
    writer.add_add_bos_token(False)
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("pre", "text", "expected"),
    [
        ("smollm", "\n\n5 apples", ["\n\n", "5", " apples"]),
        ("smollm", "a  1", ["a", "  ", "1"]),
        ("smollm", "in 1942 it's", ["in", " ", "1", "9", "4", "2", " it", "'s"]),
        ("starcoder", " 42", [" ", "4", "2"]),
        ("falcon", "12345 a.b", ["123", "45", " a", ".", "b"]),
        ("stablelm2", "x\n\n y 12", ["x", "\n\n", " y", " ", "1", "2"]),
        ("gpt-2", "\n\n5 apples", ["\n", "\n", "5", " apples"]),
    ],
)
def test_text_is_cut_as_the_file_says(pre: str, text: str, expected: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = Tokenizer()
    correct_pre_tokenizer(tokenizer, write(tmp_path / "model.gguf", pre), "model.gguf")
    assert tokenizer.cut(text) == expected
    assert not caplog.text


@pytest.mark.parametrize("pre", ["made-up", None])
def test_a_pre_tokenizer_that_is_not_known_is_said(pre: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    correct_pre_tokenizer(Tokenizer(), write(tmp_path / "model.gguf", pre), "my model")
    assert f"my model asks for the pre-tokenizer {pre or 'default'!r}, which is not known here" in caplog.text


@pytest.mark.parametrize("pre", ["llama-bpe", "qwen2"])
def test_what_transformers_knows_is_left_to_it(pre: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = Tokenizer()
    before = tokenizer.backend_tokenizer.to_str()
    correct_pre_tokenizer(tokenizer, write(tmp_path / "model.gguf", pre), "model.gguf")
    assert tokenizer.backend_tokenizer.to_str() == before
    assert not caplog.text


def test_a_sentencepiece_vocabulary_has_no_pre_tokenizer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = Tokenizer()
    before = tokenizer.backend_tokenizer.to_str()
    correct_pre_tokenizer(tokenizer, write(tmp_path / "model.gguf", "smollm", model="llama"), "model.gguf")
    assert tokenizer.backend_tokenizer.to_str() == before
    assert not caplog.text


@pytest.mark.parametrize("junk", [b"", b"GGUF", b"junk" * 100, b"GGUF" + bytes([255] * 60)])
def test_a_file_that_is_none_says_nothing(junk: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(junk)
    assert strings(tmp_path / "model.gguf", ("tokenizer.ggml.pre",)) == {}
