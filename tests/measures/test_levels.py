"""Levels: the one place where an activation becomes an integer 0..10."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurogloss.measures.levels import levels

positive = st.floats(1e-300, 1e300)


@given(positive)
def test_the_peak_itself_is_ten_whatever_the_rounding(peak: float) -> None:
    assert levels(np.array([peak]), peak).tolist() == [10]


@given(arrays(np.float64, (3, 2, 4), elements=st.floats(-1e6, 1e6)), arrays(np.float64, 3, elements=st.floats(1e-3, 1e6)))
def test_levels_rise_with_the_activation_and_stay_within_the_scale(activations: np.ndarray, peaks: np.ndarray) -> None:
    found = levels(activations, peaks)
    assert found.dtype == np.int8
    assert found.min() >= 0
    assert found.max() <= 10
    for neuron in range(3):
        order = np.argsort(activations[neuron], axis=None)
        assert (np.diff(found[neuron].ravel()[order]) >= 0).all()
        np.testing.assert_array_equal(found[neuron], levels(activations[neuron], float(peaks[neuron])))


def test_each_step_is_a_tenth_of_the_peak() -> None:
    assert levels(np.arange(-1, 12) + 0.5, 10.0).tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10]


def test_a_neuron_without_a_peak_is_zero_everywhere() -> None:
    activations = np.array([[1.0, np.inf], [1.0, 2.0], [1.0, 2.0]])
    assert levels(activations, np.array([np.nan, 0.0, 2.0])).tolist() == [[0, 0], [0, 0], [5, 10]]


def test_half_precision_activations_are_not_rounded_before_the_division() -> None:
    activations = np.array([0.29999], np.float16)
    assert levels(activations, float(activations[0])).tolist() == [10]
    assert levels(np.array([60000.0], np.float16), 60000.0).tolist() == [10]


def test_an_activation_that_is_not_a_number_is_an_error_not_a_level() -> None:
    with pytest.raises(ValueError, match="1 of 2 activations are NaN"):
        levels(np.array([np.nan, 1.0]), 1.0)
