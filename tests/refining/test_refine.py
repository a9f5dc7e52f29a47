"""refine: the best candidate by the select split is kept, and a single one passes through unasked."""

import pytest

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.status import Status
from neurogloss.refining.choosing import choose


def test_the_best_of_n_is_the_one_with_the_highest_select_score() -> None:
    good = [Candidate(text, Status.OK) for text in "abc"]
    failed = Candidate(None, Status.REFUSED)
    kept, all_of_them = choose([good[0], failed, good[1], good[2]], [None, None, -0.5, 0.25])
    assert kept == Candidate("c", Status.OK, 0.25)
    assert [c.select_score for c in all_of_them] == [None, None, -0.5, 0.25]
    assert choose(good, [0.1, 0.3, 0.3]).kept.text == "b"
    assert choose(good, [None, -0.9, None]).kept.text == "b"
    assert choose(good, [None, None, None]).kept.text == "a"
    assert choose([failed, Candidate(None, Status.CUT_OFF)], [None, None]).kept is not None
    assert choose([failed, Candidate(None, Status.CUT_OFF)], [None, None]).kept.status is Status.REFUSED


def test_a_choice_needs_candidates_and_a_failure_has_no_score() -> None:
    with pytest.raises(ValueError, match="0 candidates"):
        choose([], [])
    with pytest.raises(ValueError, match="1 candidates"):
        choose([Candidate(None, Status.REFUSED)], [0.3])
