"""Excerpts: of one length, inside one document, none overlapping, the same for the same seed, none silently missing."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.corpus.documents import Document
from neurogloss.corpus.windows import Candidates, Excerpts, draw_excerpts, hashed
from neurogloss.errors import UserError

LETTERS = "abcdefghijklmnopqrstuvwxyz"


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
    texts = ["".join(chr(1000 * number + place) for place in range(size)) for number, size in enumerate((10, 40, 50))]
    hits = Counter(name for seed in range(300) for name in draw(texts, 2, 10, seed).documents)
    assert [round(hits[f"d{i}"] / 60) for i in range(3)] == [1, 4, 5]


def test_short_documents_are_counted() -> None:
    counts: Counter[str] = Counter()
    draw([LETTERS, "b" * 3, "", "c" * 9], 2, 10, counts=counts)
    assert counts["too_short"] == 3
    assert counts["windows"] == 2


def test_too_little_text_is_an_error_with_the_numbers() -> None:
    with pytest.raises(
        UserError,
        match=r"holds 3 different excerpts of 10 tokens, record.excerpts asks for 5 "
        r"\(.* with 77 tokens, 3 excerpts that repeat others, 1 documents too short",
    ):
        draw([LETTERS, "a" * 20, LETTERS, "b" * 5], 5, 10)


def test_an_empty_corpus_is_an_error() -> None:
    with pytest.raises(UserError, match="holds 0 different excerpts"):
        draw([], 5, 10)


@given(st.integers(0, 99), st.integers(1, 3))
def test_a_window_that_occurs_twice_is_drawn_once_from_its_first_document_and_counted(seed: int, copies: int) -> None:
    counts: Counter[str] = Counter()
    found = draw([LETTERS[:24], LETTERS.upper(), *[LETTERS[:24]] * copies], 4, 10, seed, counts)
    assert len(np.unique(found.tokens, axis=0)) == 4
    assert set(found.documents) == {"d0", "d1"}
    assert counts["repeated"] == 2 * copies


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_the_draw_does_not_depend_on_how_windows_come_and_neither_does_the_count(size: int) -> None:
    rng = np.random.default_rng(0)
    windows = rng.integers(0, 40, (3000, 1)).astype(np.int32)
    keys = np.array([hashed(window, b"s") for window in windows], np.uint64)
    places = np.stack([np.arange(3000), np.zeros(3000, np.int64)], axis=1)
    drawn, small = Candidates(9), np.sort(np.unique(keys))[:9]
    for start in range(0, 3000, size):
        part = slice(start, start + size)
        drawn.add(keys[part], places[part], windows[part])
        if size == 7:
            drawn.settle()
    kept = drawn.settle()
    assert kept is not None
    np.testing.assert_array_equal(np.sort(kept[0]), small)
    np.testing.assert_array_equal(kept[1][:, 0], np.sort([np.flatnonzero(keys == key)[0] for key in small]))
    np.testing.assert_array_equal(kept[3], [(keys == key).sum() for key in kept[0]])
