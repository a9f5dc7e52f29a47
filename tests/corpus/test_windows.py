"""Excerpts: of one length, inside one document, none overlapping, the same for the same seed, none silently missing."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.corpus.documents import Document
from neurogloss.corpus.windows import Excerpts, draw_excerpts
from neurogloss.errors import UserError


def encode(texts: list[str]) -> list[list[int]]:
    """One token per character."""
    return [[ord(character) for character in text] for text in texts]


def draw(texts: list[str], wanted: int, length: int, seed: int = 0, counts: Counter[str] | None = None) -> Excerpts:
    documents = [Document(f"d{number}", text) for number, text in enumerate(texts)]
    return draw_excerpts(documents, encode, wanted, length, np.random.default_rng(seed), Counter() if counts is None else counts)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30), st.integers(1, 9), st.integers(0, 99))
def test_excerpts_are_whole_windows_of_their_document_and_do_not_overlap(lengths: list[int], length: int, seed: int) -> None:
    texts = ["".join(chr(1000 * number + place) for place in range(size)) for number, size in enumerate(lengths, 1)]
    possible = sum(size // length for size in lengths)
    if not possible:
        return
    found = draw(texts, max(1, possible // 2), length, seed)
    assert found.tokens.shape == (max(1, possible // 2), length)
    for name, start, tokens in zip(found.documents, found.starts.tolist(), found.tokens.tolist(), strict=True):
        assert tokens == encode([texts[int(name[1:])][start : start + length]])[0]
    assert len(np.unique(found.tokens)) == found.tokens.size  # Every character is unique, so an overlap would show.
    assert [(int(name[1:]), start) for name, start in zip(found.documents, found.starts, strict=True)] == sorted(
        (int(name[1:]), start) for name, start in zip(found.documents, found.starts, strict=True)
    )


def test_the_same_seed_draws_the_same_and_another_seed_others() -> None:
    texts = ["".join(chr(40 + (7 * i + j) % 90) for j in range(200)) for i in range(9)]
    one, same, other = draw(texts, 20, 8), draw(texts, 20, 8), draw(texts, 20, 8, seed=1)
    np.testing.assert_array_equal(one.tokens, same.tokens)
    assert one.documents == same.documents
    assert not np.array_equal(one.tokens, other.tokens)


def test_every_window_is_drawn_equally_often() -> None:
    texts = ["a" * 10, "b" * 40, "c" * 50]
    hits = Counter(name for seed in range(300) for name in draw(texts, 2, 10, seed).documents)
    assert [round(hits[f"d{i}"] / 60) for i in range(3)] == [1, 4, 5]


def test_short_documents_are_counted() -> None:
    counts: Counter[str] = Counter()
    draw(["a" * 30, "b" * 3, "", "c" * 9], 3, 10, counts=counts)
    assert counts["too_short"] == 3
    assert counts["windows"] == 3


def test_too_little_text_is_an_error_with_the_numbers() -> None:
    with pytest.raises(
        UserError, match=r"holds 4 excerpts of 10 tokens, record.excerpts asks for 5 \(.* with 45 tokens, 1 of them too short"
    ):
        draw(["a" * 40, "b" * 5], 5, 10)


def test_an_empty_corpus_is_an_error() -> None:
    with pytest.raises(UserError, match="holds 0 excerpts"):
        draw([], 5, 10)
