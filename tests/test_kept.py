"""What was asked about a unit is put together again from the kept replies, question for question."""

from pathlib import Path

import numpy as np
import pytest

from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.exchange.kept import asks_models, kept_questions
from neurogloss.explainers.run import explain
from neurogloss.llm.cache import Cache, cache_file
from neurogloss.refining.refine import refine
from neurogloss.simulators.run import simulate
from tests.test_planning import Run, settings


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    for variable in ("REFRESH", "BATCH", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return Cache(cache_file())


@pytest.mark.parametrize("samples", [1, 3])
def test_a_units_questions_are_those_of_every_stage_with_their_answers(samples: int, recordings: Recordings, cache: Cache) -> None:
    chosen = settings(samples)
    run = Run(cache)
    found = refine(recordings, explain(recordings, chosen, run.open), chosen, run.open)
    simulate(recordings, found, chosen, run.open)
    units = [kept_questions(recordings, chosen, cache, row, (one.kept.text,), one.candidates) for row, one in enumerate(found.rows)]
    assert asks_models(chosen)
    assert {question.request.key for unit in units for question in unit} < {key for (key,) in cache.run("SELECT key FROM replies")}
    silent = int(np.flatnonzero(recordings.silent)[0])
    assert units[silent] == []
    stages = ["explain", "refine", "simulate"] if samples > 1 else ["explain", "simulate"]
    assert all(list(dict.fromkeys(question.stage for question in unit)) == stages for row, unit in enumerate(units) if row != silent)
    asked = [question.stage for question in units[0]]
    excerpts = len(recordings.slots.where(Split.CALIBRATE, Split.SCORE))
    assert asked.count("explain") == samples and asked.count("simulate") == 2 * excerpts  # The scripted answers fail, and are asked again.
    first = units[0][0]
    assert first.request.messages[-1].role == "user" and "words about river" in first.kept.answer.text  # type: ignore[union-attr]  # a reply
    assert cache.run("SELECT COUNT(*) FROM hits")[0][0] <= 1


def test_answers_that_were_given_at_an_address_are_found(recordings: Recordings, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    chosen, run = settings(), Run(cache)
    found = explain(recordings, chosen, run.open)
    assert "@" in cache.run("SELECT key FROM replies")[0][0]
    (question,) = kept_questions(recordings, chosen, cache, 0, (None,))
    assert question.kept.answer.text == found.rows[0][0].text  # type: ignore[union-attr]  # a reply


def test_nothing_is_asked_and_nothing_found_where_nothing_is_kept(recordings: Recordings, cache: Cache) -> None:
    assert kept_questions(recordings, settings(), cache, 0, ("a sentence",)) == []
    assert cache.run("SELECT key FROM replies") == []
