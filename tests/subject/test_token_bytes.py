"""Joined token bytes are exactly the text, whatever the kind of tokenizer, half characters included."""

from typing import Any

import pytest

from neurogloss.subject.token_bytes import token_bytes

TEXTS = ["The snow\tfell.\n\n  Twice", "naïve café 😀 日本語 \u200b", "a\x00b \x7f", "<s> is text here?"]


def byte_level() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["the snow fell on the road"] * 9, trainer)
    return wrapped(tokenizer)


def sentencepiece() -> Any:
    """As Llama 2 and Gemma: blanks as ▁, unknown characters as bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    pieces = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "s", "n", "o", "w", "no", "▁s", "▁snow"]
    merges = [("n", "o"), ("▁", "s")]
    tokenizer = Tokenizer(
        models.BPE({piece: i for i, piece in enumerate(pieces)}, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(["<s>"])
    return wrapped(tokenizer)


def wrapped(tokenizer: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")


@pytest.mark.parametrize("make", [byte_level, sentencepiece])
@pytest.mark.parametrize("text", TEXTS)
def test_joined_bytes_are_the_text(make: Any, text: str) -> None:
    tokenizer = make()
    pieces = token_bytes(tokenizer)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert b"".join(pieces[token] for token in ids) == text.encode("utf-8")


def test_a_token_may_be_half_a_character() -> None:
    tokenizer = byte_level()
    pieces = token_bytes(tokenizer)
    halves = [pieces[token] for token in tokenizer("😀", add_special_tokens=False)["input_ids"]]
    assert len(halves) == 4
    with pytest.raises(UnicodeDecodeError):
        halves[0].decode("utf-8")


def test_a_special_token_is_its_own_text() -> None:
    tokenizer = byte_level()
    assert token_bytes(tokenizer)[tokenizer.bos_token_id] == b"<s>"


def test_word_pieces_begin_words_with_a_blank() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "snow": 1, "##ing": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    assert token_bytes(wrapped(tokenizer))[1:3] == [b" snow", b"ing"]
