"""The expected level: a mean over the levels among the alternatives, or nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.simulators.reading import expected_level, one_line

logprobs = st.floats(-50, 0)


@given(st.dictionaries(st.sampled_from([str(level) for level in range(10)]), logprobs, min_size=1), st.dictionaries(st.text(), logprobs))
def test_it_is_a_mean_of_the_levels_and_nothing_else_counts(levels: dict[str, float], others: dict[str, float]) -> None:
    others = {text: value for text, value in others.items() if text not in {str(level) for level in range(11)}}
    found = expected_level({**others, **levels}, 9)
    assert found is not None
    weights = {int(text): math.exp(value) for text, value in levels.items()}
    assert found == pytest.approx(10 / 9 * sum(level * weight for level, weight in weights.items()) / sum(weights.values()))
    assert 0 <= found <= 10


@given(st.dictionaries(st.text().filter(lambda text: text not in {str(level) for level in range(11)}), logprobs))
def test_without_a_level_among_the_alternatives_there_is_nothing_not_zero(others: dict[str, float]) -> None:
    assert expected_level(others, 9) is None


def test_ten_is_a_level_only_where_it_can_be_written() -> None:
    assert expected_level({"10": 0.0}, 10) == 10.0
    assert expected_level({"10": 0.0}, 9) is None
    assert expected_level({"9": 0.0}, 9) == 10.0
    assert expected_level({"9": -math.inf}, 9) is None
    assert expected_level({"²": 0.0, "٣": 0.0}, 9) is None


def test_an_explanation_stays_on_its_line() -> None:
    assert one_line(" words\nfor\tboats. ") == "words for boats"
