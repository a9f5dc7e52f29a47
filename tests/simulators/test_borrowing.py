"""Who lends a sentence to whom: never oneself, one's own layer where possible, the same for the same seed; and what is simulated."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.simulations import NOBODY
from neurogloss.artifacts.status import CODES, Status
from neurogloss.config.score import ScoreParams
from neurogloss.simulators import borrowing
from neurogloss.simulators.borrowing import borrow, controls, lenders_of
from neurogloss.simulators.result import SimulatedLevels, blank
from tests.tiny import random_recordings


def lenders(layers: np.ndarray, explained: np.ndarray, rows: np.ndarray, count: int = 3, seed: int = 0) -> np.ndarray:
    return lenders_of(layers, explained, rows, count, np.random.default_rng(seed))


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.booleans()), max_size=40), st.integers(0, 99))
def test_nobody_borrows_of_itself_and_all_who_lend_are_explained(neurons: list[tuple[int, bool, bool]], seed: int) -> None:
    neurons = sorted(neurons, key=lambda one: one[0])
    layers = np.array([layer for layer, _, _ in neurons], dtype=np.int32)
    explained = np.array([lends for _, lends, _ in neurons], dtype=bool)
    rows = np.flatnonzero([borrows for _, _, borrows in neurons])
    found = lenders(layers, explained, rows, seed=seed)
    for row, all_draws in zip(rows, found, strict=True):
        others = all_draws[all_draws != NOBODY]
        assert len(set(others)) == len(others)
        assert row not in others and explained[others].all()
        beside = (explained & (layers == layers[row])).sum() - explained[row]
        if beside:
            assert (layers[others] == layers[row]).all()
            assert len(others) == min(3, beside)
        else:
            assert len(others) == min(3, explained.sum() - explained[row])
    assert (lenders(layers, explained, rows, seed=seed) == found).all()


def test_everybody_lends_once_in_each_draw() -> None:
    layers, everybody = np.repeat(np.arange(3), 50), np.ones(150, bool)
    found = lenders(layers, everybody, np.arange(150))
    assert [sorted(draw) for draw in found.T] == [list(range(150))] * 3
    assert (found != lenders(layers, everybody, np.arange(150), seed=1)).any()


def test_without_any_other_sentence_there_is_nobody() -> None:
    assert (lenders(np.zeros(3, int), np.zeros(3, bool), np.arange(3)) == NOBODY).all()
    assert lenders(np.zeros(3, int), np.array([True, False, False]), np.arange(3)).tolist() == [[-1] * 3, [0, -1, -1], [0, -1, -1]]


class Recorded:
    """A simulator that keeps what it is asked."""

    def __init__(self, recordings: Recordings) -> None:
        self.tokens = recordings.corpus.shape[1]
        self.asked: list[tuple[int, str]] = []
        self.slots: list[int] = []

    def __call__(self, rows: np.ndarray, slots: np.ndarray, texts: Sequence[str | None]) -> SimulatedLevels:
        found = blank(len(rows), len(slots), self.tokens, Status.NO_EXPLANATION)
        self.slots = slots.tolist()
        for place, (row, text) in enumerate(zip(rows.tolist(), texts, strict=True)):
            if text is not None:
                self.asked.append((row, text))
                found.levels[place] = len(self.asked) % 10
                found.status[place] = CODES.index(Status.OK)
        return found


def test_each_neuron_meets_other_sentences_of_its_layer_on_its_own_score_excerpts(recordings: Recordings) -> None:
    texts = [None if silent else f"sentence {row}" for row, silent in enumerate(recordings.silent)]
    simulate = Recorded(recordings)
    found = borrow(simulate, recordings, texts, ~recordings.silent, 2, 0)
    assert simulate.slots == recordings.slots.where(Split.SCORE).tolist() == found.slots.tolist()
    assert found.rows.tolist() == np.flatnonzero(~recordings.silent).tolist()
    told = [(row, texts[lender]) for row, draws in zip(found.rows, found.lenders, strict=True) for lender in draws]
    assert simulate.asked == told and len(told) == 2 * 7
    assert (recordings.layers[found.lenders] == recordings.layers[found.rows][:, None]).all()
    assert found.levels.shape == (7, 2, 4, 8) and (found.status == 0).all()
    assert found.levels[:, :, 0, 0].ravel().tolist() == [number % 10 for number in range(1, 15)]


def test_with_many_neurons_a_sample_has_a_control_and_what_is_explained_does_not_choose_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borrowing, "NEURONS", 10)
    many = random_recordings(per_layer=30)
    texts: list[str | None] = ["words"] * len(many)
    first = borrow(Recorded(many), many, texts, ~many.silent, 2, 0)
    failed = first.rows[0]
    other = borrow(Recorded(many), many, texts, ~many.silent & (np.arange(len(many)) != failed), 2, 0)
    assert len(first) == len(other) == 10
    assert set(first.rows) - {failed} <= set(other.rows)


def test_a_simulator_that_asks_a_model_borrows_one_sentence_unless_the_params_say_more() -> None:
    params = ScoreParams(seed=0, controls="auto", bins=10, min_excerpts_share=0.5)
    assert [controls(params, asks) for asks in (False, True)] == [8, 1]
    assert [controls(params.model_copy(update={"controls": 3}), asks) for asks in (False, True)] == [3, 3]
