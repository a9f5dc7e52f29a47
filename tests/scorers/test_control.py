"""The control can fail: it shows a generic sentence, a simulator that does not read, and a leak into a neuron's own simulation."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from neurogloss.artifacts.explanations import Explanations, explanations
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.simulations import NOBODY
from neurogloss.artifacts.status import CODES, Status
from neurogloss.scorers.run import score
from neurogloss.scorers.summary import borrowed_counts, summary
from tests.simulated import explained, honest, scoring, simulated, true_levels
from tests.tiny import random_recordings

PARAMS = scoring()


@pytest.fixture(scope="module")
def many() -> Recordings:
    """300 made-up neurons in three layers, one of them silent."""
    return random_recordings(layers=3, per_layer=100, tokens=12, per_split=3, excerpts=120)


def numbers(scores: pa.Table, name: str) -> np.ndarray:
    return np.asarray(scores[name].to_numpy(zero_copy_only=False), dtype=float)


def likely(recordings: Recordings) -> Callable[[np.ndarray], np.ndarray]:
    """Levels of one generic sentence: the tokens on which all neurons together are most active."""
    overall = np.nan_to_num(np.asarray(recordings.token_means, np.float64)).mean(axis=0)

    def levels(tokens: np.ndarray) -> np.ndarray:
        return np.asarray(np.clip(10 * overall / overall.max(), 0, 10)[tokens])

    return levels


def generic(recordings: Recordings) -> Explanations:
    """The same sentence for all."""
    rows = explained(recordings).rows
    same = next(row.kept for row in rows if row.kept.status is Status.OK)
    return explanations([replace(row, kept=same) if row.kept.status is Status.OK else row for row in rows])


def test_a_generic_sentence_has_a_control_as_high_as_its_score(many: Recordings) -> None:
    slots, levels = many.slots.where(Split.CALIBRATE, Split.SCORE), likely(many)
    simulations = simulated(
        many,
        lambda true: levels(many.corpus[many.excerpts[:, slots]]),
        borrow=lambda rows, lenders: levels(many.corpus[many.excerpts[rows[:, None], many.slots.where(Split.SCORE)]]),
    )
    metrics = summary(score(many, generic(many), simulations, PARAMS), 6)
    assert metrics["top_and_random"]["mean"] > 0.05
    assert metrics["control"]["mean"] == pytest.approx(metrics["top_and_random"]["mean"], abs=0.02)
    assert abs(metrics["margin"]["mean"]) < 0.02
    assert metrics["sensitivity"]["mean"] is None  # Equal sentences tell nothing about whether they are read.


def test_a_leak_into_the_simulation_stands_far_above_its_control(many: Recordings) -> None:
    metrics = summary(score(many, explained(many), simulated(many, lambda true: true, borrow=honest(many)), PARAMS), 6)
    assert metrics["top_and_random"]["mean"] > 0.999
    assert metrics["control"]["mean"] <= metrics["top_and_random"]["mean"] - 0.5
    assert metrics["margin"]["ci_low"] > 0.5
    assert metrics["margin"]["mean"] == pytest.approx(metrics["top_and_random"]["mean"] - metrics["control"]["mean"], abs=1e-5)
    assert abs(metrics["control"]["mean"]) < 0.1 and metrics["sensitivity"]["mean"] < 0.3


def test_a_simulator_that_looks_at_the_recording_and_not_at_the_sentence_has_no_margin(many: Recordings) -> None:
    truth = true_levels(many, many.slots.where(Split.SCORE))
    metrics = summary(score(many, explained(many), simulated(many, lambda true: true, borrow=lambda rows, lenders: truth[rows]), PARAMS), 6)
    assert metrics["control"]["mean"] > 0.999 and abs(metrics["margin"]["mean"]) < 1e-6
    assert metrics["sensitivity"]["mean"] == pytest.approx(1)


def test_the_control_is_the_mean_score_of_the_borrowed_sentences(many: Recordings) -> None:
    rng = np.random.default_rng(0)
    simulations = simulated(
        many, lambda true: true + rng.normal(0, 3, true.shape), borrow=lambda rows, lenders: rng.random((len(rows), 6, 12))
    )
    found, borrowed = score(many, explained(many), simulations, PARAMS), simulations.borrowed
    slots = many.slots.where(Split.SCORE)
    own = np.flatnonzero(np.isin(simulations.slots, slots))
    for place in range(0, len(borrowed), 29):
        row = int(borrowed.rows[place])
        recorded = np.asarray(many.activations[row, slots], dtype=float).ravel()
        levels = [np.asarray(borrowed.levels[place, draw], dtype=float).ravel() for draw in range(4)]
        control = np.mean([np.corrcoef(recorded, one)[0, 1] for one in levels])
        likeness = np.mean([np.corrcoef(np.asarray(simulations.levels[row, own], float).ravel(), one)[0, 1] for one in levels])
        values = found.slice(row, 1).to_pylist()[0]
        assert values["control"] == pytest.approx(control, abs=1e-8)
        assert values["margin"] == pytest.approx(values["top_and_random"] - control, abs=1e-8)
        assert values["sensitivity"] == pytest.approx(likeness, abs=1e-8)


def test_failed_and_missing_borrowed_simulations_are_left_out_and_counted(many: Recordings) -> None:
    whole = simulated(many, lambda true: true, borrow=honest(many))
    lenders, status, levels = (np.array(getattr(whole.borrowed, name)) for name in ("lenders", "status", "levels"))
    lenders[0, 1:], status[0, 1:] = NOBODY, CODES.index(Status.NO_EXPLANATION)
    status[1], status[2, 0, 0] = CODES.index(Status.REFUSED), CODES.index(Status.CUT_OFF)
    levels[status != 0] = np.nan
    broken = replace(whole, borrowed=replace(whole.borrowed, lenders=lenders, status=status, levels=levels))
    found, before = (score(many, explained(many), one, PARAMS) for one in (broken, whole))
    rows = whole.borrowed.rows
    assert np.isfinite(numbers(found, "control")[rows[0]])
    assert np.isnan(numbers(found, "control")[rows[1]]) and np.isnan(numbers(found, "margin")[rows[1]])
    assert found["top_and_random"].equals(before["top_and_random"])
    np.testing.assert_array_equal(numbers(found, "control")[rows[3:]], numbers(before, "control")[rows[3:]])
    assert summary(found, 6)["control"]["neurons"] == 298
    assert borrowed_counts(broken) == {"neurons": 299, "sentences": 299 * 4 - 3, "failed_excerpts": 4 * 6 + 1}


def test_without_any_borrowed_sentence_there_is_no_control_and_the_metrics_say_so(many: Recordings) -> None:
    simulations = simulated(many, lambda true: true)
    metrics = summary(score(many, explained(many), simulations, PARAMS), 6)
    assert metrics["control"]["neurons"] == metrics["margin"]["neurons"] == metrics["sensitivity"]["neurons"] == 0
    assert borrowed_counts(simulations) == {"neurons": 0, "sentences": 0, "failed_excerpts": 0}
