"""Documents are held out whole, about a quarter of the excerpts, or windows are dealt and that is said."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.config.record import SplitBy
from neurogloss.corpus.documents import Document
from neurogloss.corpus.splits import Needed, deal_documents, hold_out_documents
from neurogloss.corpus.windows import Excerpts, draw_excerpts
from neurogloss.errors import UserError

FEW = Needed(4, 12)


def excerpts(sizes: list[int]) -> Excerpts:
    """So many excerpts of each document."""
    documents = [f"d{number}" for number, size in enumerate(sizes) for _ in range(size)]
    count = len(documents)
    return Excerpts(documents, np.zeros(count, np.int32), np.arange(count, dtype=np.int32)[:, None], np.zeros(count, np.bool_))


def hold_out(sizes: list[int], split_by: SplitBy = "auto", needed: Needed = FEW, seed: int = 0) -> Excerpts:
    return hold_out_documents(excerpts(sizes), split_by, needed, seed)


@given(st.lists(st.integers(1, 40), min_size=8, max_size=60), st.integers(0, 99))
def test_no_document_is_on_both_sides_and_at_most_a_quarter_is_held_out(sizes: list[int], seed: int) -> None:
    found = hold_out(sizes, needed=Needed(0, 0), seed=seed)
    out = {name for name, held_out in zip(found.documents, found.held_out, strict=True) if held_out}
    assert out.isdisjoint(name for name, held_out in zip(found.documents, found.held_out, strict=True) if not held_out)
    assert found.held_out.mean() <= 0.25


def test_a_quarter_of_many_documents_is_held_out_others_with_another_seed() -> None:
    one, same, other = (hold_out([3] * 100, seed=seed).held_out for seed in (0, 0, 1))
    assert one.mean() == 0.25
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_who_is_held_out_follows_from_names_and_not_from_their_order() -> None:
    names = [f"d{number}" for number in range(40)]
    turned = deal_documents(names[::-1], 0)[::-1]
    np.testing.assert_array_equal(turned, deal_documents(names, 0))


@pytest.mark.parametrize(
    ("sizes", "needed", "reason"),
    [
        ([9] * 7, FEW, "the excerpts are from 7 documents"),
        ([200] + [1] * 9, Needed(12, 12), "of which 9 with 9 excerpts can be held out"),
        ([5] * 12, Needed(4, 46), "with 4 excerpts held out and 46 others"),
    ],
)
def test_where_there_is_too_little_windows_are_dealt_and_that_is_said_or_is_an_error(
    sizes: list[int], needed: Needed, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not hold_out(sizes, "auto", needed).held_out.any()
    assert "dealing windows, not documents, to the splits: the excerpts are from" in caplog.text
    assert reason in caplog.text
    with pytest.raises(UserError, match=f"record.split_by is document, but .*{reason}.*; ask for more excerpts"):
        hold_out(sizes, "document", needed)


def test_windows_are_dealt_where_they_are_asked_for() -> None:
    assert not hold_out([3] * 100, "window").held_out.any()


@given(st.integers(0, 9))
def test_copies_of_one_document_give_no_window_twice_or_one_line(seed: int) -> None:
    """300 copies: whatever is drawn, no excerpt equals another, so no score excerpt equals one that was looked at."""
    text = " ".join(f"word{number}" for number in range(18))
    copies = [Document(f"d{number}", text) for number in range(300)]

    def encode(texts: list[str]) -> list[list[int]]:
        return [[int(word[4:]) for word in text.split()] for text in texts]

    found = draw_excerpts(copies, encode, 2, 8, np.random.default_rng(seed), Counter())
    assert len(np.unique(found.tokens, axis=0)) == 2
    assert not hold_out_documents(found, "auto", Needed(1, 1), seed).held_out.any()
    with pytest.raises(
        UserError, match="the corpus holds 2 different excerpts of 8 tokens, record.excerpts asks for 72 .*598 excerpts that repeat"
    ):
        draw_excerpts(copies, encode, 72, 8, np.random.default_rng(seed), Counter())
