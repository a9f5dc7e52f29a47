"""No score excerpt reaches what is made before the score, and a leak built on purpose fails the check that says so."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from neurogloss.artifacts.recordings import OPEN_SPLITS, Recordings, Split
from neurogloss.scorers.token_table import token_table_levels
from neurogloss.simulators.vocabulary import simulate
from tests.simulators.fake import vocabulary
from tests.tiny import random_recordings

Made = Callable[[Recordings], np.ndarray]
"""What is made of recordings before they are scored: levels, a table, a choice."""


@pytest.fixture(scope="module")
def some() -> Recordings:
    """Made-up neurons, one of them silent."""
    return random_recordings(layers=2, per_layer=20, tokens=12, per_split=3, excerpts=80)


def altered(recordings: Recordings) -> Recordings:
    """The same, with other activations on the score excerpts."""
    activations = np.array(recordings.activations)
    score = recordings.slots.where(Split.SCORE)
    activations[:, score] = np.random.default_rng(5).gamma(1.0, 9.0, activations[:, score].shape)
    return replace(recordings, activations=activations)


def check_blind(made: Made, recordings: Recordings) -> None:
    """Fail where what is made changes with the activations on the score excerpts."""
    np.testing.assert_array_equal(made(recordings), made(altered(recordings)), "the score split leaks")


def sentences(recordings: Recordings) -> list[str | None]:
    """Sentences that name the tokens of the highest means."""
    best = np.nan_to_num(np.asarray(recordings.token_means, np.float64), nan=-9).argmax(axis=1)
    return [None if silent else f'the word "w{token}"' for token, silent in zip(best.tolist(), recordings.silent, strict=True)]


def by_vocabulary(recordings: Recordings) -> np.ndarray:
    rows, slots = np.arange(len(recordings)), recordings.slots.where(Split.CALIBRATE, Split.SCORE)
    return np.asarray(simulate(vocabulary(recordings, {}), rows, slots, sentences(recordings)).levels)


def by_table(recordings: Recordings) -> np.ndarray:
    return token_table_levels(recordings, np.arange(len(recordings)), recordings.slots.where(Split.SCORE))


def by_cheating(recordings: Recordings) -> np.ndarray:
    """The recording itself, called a simulation."""
    return np.asarray(recordings.activations[:, recordings.slots.where(Split.SCORE)])


def by_peeking_at_the_peak(recordings: Recordings) -> np.ndarray:
    """A peak over every split."""
    return np.asarray(recordings.activations[:, recordings.slots.where(*OPEN_SPLITS, Split.SCORE)].max(axis=(1, 2)))


@pytest.mark.parametrize("made", [by_vocabulary, by_table])
def test_what_predicts_never_sees_the_score_split(made: Made, some: Recordings) -> None:
    check_blind(made, some)


@pytest.mark.parametrize("made", [by_cheating, by_peeking_at_the_peak])
def test_a_leak_built_on_purpose_fails_loudly(made: Made, some: Recordings) -> None:
    with pytest.raises(AssertionError, match="the score split leaks"):
        check_blind(made, some)
