"""What a GGUF file says of its tokenizer and transformers passes over: how text is cut up before pieces of words are joined.

transformers reads `tokenizer.ggml.pre` for some vocabularies and takes all others for GPT-2's. The rules here are llama.cpp's.
"""

import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

logger = logging.getLogger(__name__)

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
RULES = {
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), (r"\p{N}", GPT2)),
    **dict.fromkeys(("stablelm2", "hunyuan"), (QWEN2,)),
    "falcon": (r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"),
}
"""Regular expressions that cut the text one after the other, by the name of the pre-tokenizer."""
AS_GPT2 = frozenset({"gpt-2", "gpt2", "mpt", "olmo", "jais", "trillion", "granite-docling", "phi-2", "gigachat", "mellum", "modern-bert"})
STRING, ARRAY, LIMIT = 8, 9, 1 << 20
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a number, by its type in the file."""


def correct_pre_tokenizer(tokenizer: Any, path: Path, source: str) -> None:
    """Give a byte-level tokenizer the rules that its file names; say so where nobody knows them."""
    said = strings(path, ("tokenizer.ggml.model", "tokenizer.ggml.pre"))
    if said.get("tokenizer.ggml.model") != "gpt2":
        return
    name = said.get("tokenizer.ggml.pre", "default")
    if name in RULES:
        from tokenizers import Regex, pre_tokenizers

        cuts = [pre_tokenizers.Split(Regex(rule), "isolated") for rule in RULES[name]]
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cuts, byte_level])
    elif name not in AS_GPT2 and name not in known_to_transformers():
        logger.warning(
            "%s asks for the pre-tokenizer %r, which is not known here, so its text is cut as GPT-2's: some tokens may differ "
            "from those it was trained on; use its safetensors folder instead",
            source,
            name,
        )


def known_to_transformers() -> frozenset[str]:
    """Pre-tokenizers that it has set already."""
    try:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
    except ImportError:  # Not part of its documented interface.
        return frozenset()
    return frozenset(GGUF_PRE_TOKENIZER_SPLITS)


def strings(path: Path, keys: tuple[str, ...]) -> dict[str, str]:
    """Text values of these keys of the file's metadata, as far as they are there; gguf's own reader takes seconds."""
    with path.open("rb") as file:
        try:
            return dict(pairs(file, keys))
        except (struct.error, KeyError, ValueError):
            return {}


def pairs(file: IO[bytes], keys: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Key and text, until all keys were seen."""
    missing = set(keys)
    _, _, _, count = struct.unpack("<4sIQQ", file.read(24))
    for _ in range(count):
        if not missing:
            return
        key, kind = text(file), number(file, "<I")
        if key in missing and kind == STRING:
            missing.remove(key)
            yield key, text(file)
        else:
            skip(file, kind)


def text(file: IO[bytes]) -> str:
    """A string behind its length; ValueError where that cannot be."""
    size = number(file, "<Q")
    if size > LIMIT:
        raise ValueError(f"a string of {size} bytes")
    return file.read(size).decode("utf-8", "replace")


def number(file: IO[bytes], form: str) -> int:
    """A number."""
    return int(struct.unpack(form, file.read(struct.calcsize(form)))[0])


def skip(file: IO[bytes], kind: int) -> None:
    """Pass over a value."""
    if kind == STRING:
        file.seek(number(file, "<Q"), 1)
    elif kind == ARRAY:
        inner, count = number(file, "<I"), number(file, "<Q")
        if inner in SIZES:
            file.seek(SIZES[inner] * count, 1)
        else:
            for _ in range(count):
                skip(file, inner)
    else:
        file.seek(SIZES[kind], 1)
