"""Simulated levels: a value where the status is ok, nothing anywhere else."""

import numpy as np
import pytest

from neurogloss.artifacts.status import CODES, Status
from neurogloss.simulators.result import OK, SimulatedLevels, blank, put


def test_levels_and_reasons_are_put_in_their_place() -> None:
    result = blank(2, 2, 3, Status.NO_EXPLANATION)
    put(result, 0, 1, np.array([0.0, 5.5, 10.0]))
    put(result, 1, 0, Status.REFUSED)
    assert result.status.tolist() == [
        [CODES.index(Status.NO_EXPLANATION), OK],
        [CODES.index(Status.REFUSED), CODES.index(Status.NO_EXPLANATION)],
    ]
    assert result.levels[0, 1].tolist() == [0.0, 5.5, 10.0]
    assert np.isnan(result.levels[1]).all()


@pytest.mark.parametrize("wrong", [np.array([0.0, 1.0]), np.array([0.0, 1.0, 10.5]), np.array([0.0, np.nan, 1.0]), np.array([-1.0, 0, 0])])
def test_levels_of_another_length_or_scale_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="0..10 fit"):
        put(blank(1, 1, 3, Status.UNANSWERED), 0, 0, wrong)


def test_a_number_beside_a_failure_is_refused() -> None:
    with pytest.raises(ValueError, match="only there"):
        SimulatedLevels(np.zeros((1, 1, 2), np.float16), np.array([[CODES.index(Status.REFUSED)]], np.uint8), np.zeros(1, bool))
    with pytest.raises(ValueError, match="status ok needs levels"):
        put(blank(1, 1, 2, Status.UNANSWERED), 0, 0, Status.OK)
