"""A stage in which too much failed stops, says why, and what to do about the commonest cause."""

import re

import numpy as np
import pytest

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.simulations import Simulations
from neurogloss.artifacts.status import ADVICE, CODES, UNASKED, FailureLimit, Status
from neurogloss.errors import UserError
from neurogloss.explainers import run as explain
from neurogloss.simulators import run as simulate
from tests.simulated import explained, simulated

FAILURES = [status for status in Status if status not in (Status.OK, Status.CONSTANT, Status.NO_EFFECT, *UNASKED)]


def rows(statuses: list[Status]) -> list[tuple[Candidate, ...]]:
    """Neurons with one candidate each."""
    return [(Candidate("a phrase" if status is Status.OK else None, status),) for status in statuses]


def of(statuses: list[Status], recordings: Recordings) -> Simulations:
    """Simulations of which the first excerpts ended so; those of the silent neuron do not count."""
    return simulated(recordings, lambda levels: levels, {(0, place): status for place, status in enumerate(statuses)})


def tried(recordings: Recordings, found: Simulations) -> int:
    return int((~recordings.silent).sum()) * found.status.shape[1]


@pytest.mark.parametrize("status", FAILURES)
def test_every_cause_has_advice(status: Status) -> None:
    with pytest.raises(UserError, match=f"100% of the explanations failed .2 {status}., .*; {status}: \\w+") as raised:
        explain.check_failures(rows([status, status]), 0.1)
    assert "{" not in str(raised.value)
    assert set(ADVICE) == set(FAILURES)


def test_what_was_never_tried_is_no_failure() -> None:
    explain.check_failures(rows([Status.SILENT, Status.NO_EXPLANATION, Status.OK]), 0.0)
    explain.check_failures([], 0.0)


def test_the_share_that_the_params_allow_is_allowed() -> None:
    explain.check_failures(rows([Status.REFUSED] + [Status.OK] * 9), 0.1)
    with pytest.raises(
        UserError, match=re.escape("20% of the explanations failed (1 refused, 1 too_long), limits.max_failed_share allows 10%")
    ):
        explain.check_failures(rows([Status.TOO_LONG, Status.REFUSED] + [Status.OK] * 8), 0.1)


def test_failed_simulations_are_counted_by_cause(recordings: Recordings) -> None:
    few = of([Status.CUT_OFF], recordings)
    simulate.check_failures(few, explained(recordings), 1 / tried(recordings, few))
    many = of([Status.CUT_OFF] * 3 + [Status.UNPARSABLE], recordings)
    with pytest.raises(
        UserError, match=r"of the simulations failed \(3 cut_off, 1 unparsable\), .*; cut_off: raise max_tokens of the prompt"
    ):
        simulate.check_failures(many, explained(recordings), 3 / tried(recordings, many))


def test_a_neuron_whose_explanation_failed_is_no_failed_simulation(recordings: Recordings) -> None:
    found = of([], recordings)
    lost = np.flatnonzero(~recordings.silent)[-3:]
    found.status[lost] = CODES.index(Status.REFUSED)
    found.levels[lost] = np.nan
    simulate.check_failures(found, explained(recordings, dict.fromkeys(lost.tolist(), Status.REFUSED)), 0.0)
    with pytest.raises(UserError, match="refused"):
        simulate.check_failures(found, explained(recordings), 0.0)


def test_a_stage_ends_with_the_failure_that_is_one_too_many() -> None:
    limit = FailureLimit("simulations", "simulate", 0.1, 240)
    for _ in range(24):
        limit.add(Status.CUT_OFF)
    with pytest.raises(UserError, match=r"25 of 240 simulations failed .25 cut_off., .* 10% of all, so the rest was not asked"):
        limit.add(Status.CUT_OFF)
