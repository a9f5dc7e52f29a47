"""The search for directions at an endpoint: planned, stopped by the budget, resumed without paying twice, and told to MLflow."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from neurogloss.artifacts.recordings import Recordings, write_recordings
from neurogloss.artifacts.units import UnitKind
from neurogloss.cli.planning import plan_directions
from neurogloss.comparison.result import Result
from neurogloss.config.params import Params
from neurogloss.errors import UserError
from neurogloss.llm.cache import Cache, cache_file
from neurogloss.llm.client import open_client
from neurogloss.refining import find_directions
from neurogloss.refining.find_directions import Found, find, write_found
from neurogloss.subject.directions import layer_activations, read_directions
from neurogloss.subject.model import Subject
from neurogloss.tracking.content import Step, direction_steps, directions_report
from tests.llm.server import Call, Play, Server, chat
from tests.refining.test_revision_budget import settings as served_settings
from tests.tiny import random_recordings

COUNT, ROUNDS = 2, 2


def answers(_: int, call: Call) -> Play:
    """An explanation, or levels; either follows from the question."""
    question = json.dumps(call.body["messages"])
    number = int(hashlib.sha256(question.encode()).hexdigest()[:6], 16)
    text = f"words about w{number}" if "What excites this neuron?" in question else f"1:{1 + number % 9}"
    return Play(200, chat(text, json.loads(call.text)))


def settings() -> Params:
    params = served_settings()
    return params.model_copy(
        update={
            "simulate": params.simulate.model_copy(update={"model": "served", "method": "compact"}),
            "directions": params.directions.model_copy(update={"count": COUNT, "rounds": ROUNDS, "layer": 1}),
        }
    )


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recordings:
    """Of a subject whose layer has six neurons, which is never loaded."""
    found = random_recordings()
    activations = np.random.default_rng(0).normal(size=(*found.corpus.shape, 6)).astype(np.float16)
    monkeypatch.setattr(find_directions, "load_recorded", lambda _: None)
    monkeypatch.setattr(find_directions, "layer_activations", lambda *_: activations)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    monkeypatch.setenv("NEUROGLOSS_CONCURRENCY", "2")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return found


def test_a_search_is_planned_stops_at_the_budget_and_pays_nothing_twice(
    recordings: Recordings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planned() -> dict[str, tuple[int, int, float]]:
        cache = Cache(cache_file())
        steps = {step.stage: (step.requests, step.cached, step.usd) for step in plan_directions(recordings, settings(), cache)}
        cache.close()
        return steps

    with Server(answers, delay=0.001) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        before = planned()
        assert before["explain"][:2] == (COUNT * (ROUNDS + 2), 0) and before["directions"][0] > 0 and before["directions"][2] > 0
        assert not server.calls
        whole, asked = find(recordings, settings(), None, open_client), Counter(call.text for call in server.calls)
        assert sum(one for one, _, _ in before.values()) >= asked.total() > 0
        server.calls.clear()
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / "halting"))
        stops = 0
        for mills in range(5, 400, 5):
            monkeypatch.setenv("NEUROGLOSS_BUDGET_USD", str(mills / 1000))
            try:
                found = find(recordings, settings(), None, open_client)
                break
            except UserError as error:
                assert "the budget of" in str(error)
                stops += 1
        assert stops > ROUNDS and Counter(call.text for call in server.calls) == asked
    assert found.report == whole.report and len(found.report["rounds"]) == ROUNDS


def test_what_asks_no_language_model_is_nothing_to_plan(recordings: Recordings, tmp_path: Path) -> None:
    params = settings()
    params = params.model_copy(
        update={
            "explain": params.explain.model_copy(update={"method": "concepts"}),
            "simulate": params.simulate.model_copy(update={"method": "vocabulary"}),
        }
    )
    cache = Cache(tmp_path / "replies.sqlite")
    assert plan_directions(recordings, params, cache) == []
    cache.close()


def test_mlflow_gets_the_rounds_as_steps_and_the_explanations_before_and_after(tmp_path: Path) -> None:
    scores = [{"text": "a", "score": 0.25, "random_only": None}, {"text": "b", "score": 0.75, "random_only": 0.5}]
    report: dict[str, Any] = {
        "layer": 1,
        "rounds": [{"round": 1, "fitted": [0.5, None], "texts": ["a", None]}, {"round": 2, "fitted": [None, None], "texts": [None, None]}],
        "directions": [{"name": "L1.D0", "before": scores[0], "after": scores[1]}],
    }
    write_found(tmp_path / "d.npz", Found(1, np.ones((1, 6), np.float32), report))
    assert read_directions(tmp_path / "d.npz").report == report == json.loads((tmp_path / "d.json").read_text(encoding="utf-8"))
    recorded = random_recordings()
    recorded.about["directions"] = report
    write_recordings(tmp_path / "recordings", recorded)

    def result(kind: UnitKind) -> Result:
        paths = SimpleNamespace(recordings="recordings")
        return cast(Result, SimpleNamespace(path=lambda name: tmp_path / name, paths=paths, lock=SimpleNamespace(kind=kind)))

    assert directions_report(result(UnitKind.DIRECTIONS)) == report
    found = list(direction_steps(result(UnitKind.DIRECTIONS)))
    assert found == [
        Step("directions/fitted", 0.5, 1),
        Step("directions/score", 0.25, 0),
        Step("directions/score", 0.75, 2),
        Step("directions/random_only", 0.5, 2),
    ]
    assert not list(direction_steps(result(UnitKind.NEURONS)))


def test_a_layer_without_room_in_memory_and_a_layer_without_neurons_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = cast(Subject, SimpleNamespace(widths=(48, 48)))
    tokens = np.zeros((20_000, 64), np.int32)
    monkeypatch.setenv("NEUROGLOSS_MEMORY_MB", "100")
    with pytest.raises(UserError, match=r"the 48 neurons of layer 1 on 20000 excerpts need 123 MB, NEUROGLOSS_MEMORY_MB is 100; raise it"):
        layer_activations(subject, tokens, 1)
    with pytest.raises(UserError, match=r"directions.layer is 7, but the layers with neurons are \[0, 1\]"):
        layer_activations(subject, tokens, 7)
