"""The draw of random excerpts: distinct, uniform, the same whatever else is recorded."""

import numpy as np
import pytest

from neurogloss.recording.layers import draw_distinct, frequent_tokens


@pytest.mark.parametrize(("count", "among"), [(1, 1), (3, 3), (4, 7), (3, 10), (1, 40)])
def test_numbers_are_distinct_and_every_one_is_as_likely_in_every_place(count: int, among: int) -> None:
    drawn = draw_distinct(np.random.default_rng(0), 20000, count, among)
    assert all(len(set(row)) == count for row in drawn[:500].tolist())
    for place in range(count):
        shares = np.bincount(drawn[:, place], minlength=among) / len(drawn)
        np.testing.assert_allclose(shares, 1 / among, atol=0.02)


def test_among_equally_frequent_tokens_the_lower_ids_are_kept() -> None:
    table = frequent_tokens(np.array([[9, 9, 5], [3, 3, 7]], np.int32), 3)
    assert table.tokens.tolist() == [3, 5, 9]
    assert table.counts.tolist() == [2, 1, 2]
    assert table.entries(np.array([9, 4, 3, 11])).tolist() == [2, -1, 0, -1]
