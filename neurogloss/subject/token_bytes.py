"""The bytes of each token, exactly: a token may be half a character."""

import json
import re
from typing import Any

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def token_bytes(tokenizer: Any) -> list[bytes]:
    """Bytes of every token id, as they stand in the text; ids without a token are empty.

    Byte-level BPE, sentencepiece with byte fallback, and WordPiece (whose words get a leading blank).
    """
    pieces = tokenizer.get_vocab()
    found = [b""] * (max(pieces.values()) + 1)
    added = {token.content for token in tokenizer.added_tokens_decoder.values()}
    convert = piece_converter(tokenizer)
    for piece, number in pieces.items():
        found[number] = piece.encode("utf-8") if piece in added else convert(piece)
    return found


def piece_converter(tokenizer: Any) -> Any:
    """The function from a piece as the vocabulary spells it to its bytes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    spelled = json.loads(backend.to_str()) if backend is not None else {}
    parts = [*steps(spelled.get("decoder")), *steps(spelled.get("pre_tokenizer")), *steps(spelled.get("normalizer"))]
    kinds = {part["type"] for part in parts}
    if "ByteLevel" in kinds:
        return from_byte_level
    if "WordPiece" in kinds:
        return from_word_piece
    return from_sentencepiece


def steps(part: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A tokenizer's component, or the components of a sequence."""
    if part is None:
        return []
    nested = part.get("decoders") or part.get("pretokenizers") or part.get("normalizers")
    return [inner for each in nested for inner in steps(each)] if nested else [part]


def from_byte_level(piece: str) -> bytes:
    """Each character stands for one byte.

    >>> from_byte_level("Ġsnow")
    b' snow'
    """
    return b"".join(bytes([BYTES[character]]) if character in BYTES else character.encode("utf-8") for character in piece)


def from_sentencepiece(piece: str) -> bytes:
    """`▁` is a blank, `<0x0A>` a byte.

    >>> from_sentencepiece("▁snow"), from_sentencepiece("<0xE2>")
    (b' snow', b'\\xe2')
    """
    found = BYTE_TOKEN.fullmatch(piece)
    return bytes([int(found[1], 16)]) if found else piece.replace("▁", " ").encode("utf-8")


def from_word_piece(piece: str) -> bytes:
    """`##` continues a word, all else begins one.

    >>> from_word_piece("##ing"), from_word_piece("snow")
    (b'ing', b' snow')
    """
    return piece[2:].encode("utf-8") if piece.startswith("##") else b" " + piece.encode("utf-8")


def byte_characters() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes stand for themselves, the others for characters from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


BYTES = byte_characters()
