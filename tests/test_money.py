"""What a run that goes wrong costs: little more than the failures that the params allow."""

import json
from pathlib import Path

import numpy as np
import pytest

from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import CODES, FailureLimit, Status
from neurogloss.config.prompts import GeneratedPrompt
from neurogloss.errors import UserError
from neurogloss.explainers.prompted import explain_prompted
from neurogloss.llm.client import open_client
from neurogloss.llm.request import Reply, Request
from neurogloss.llm.scripted import Scripted
from neurogloss.simulators.generated import simulate
from tests.explainers.test_prompted import PARAMS, PROMPTS, settings, words
from tests.explainers.test_prompted import model as scripted_model
from tests.llm.asking import model
from tests.llm.server import Call, Play, Server, always, chat
from tests.tiny import random_recordings

JSON = PARAMS.prompts.simulate["generated_json"]
assert isinstance(JSON, GeneratedPrompt)
LOOP = chat('{"levels": [' + 400 * " ", {"messages": []}, "length")


@pytest.fixture(scope="module")
def many() -> Recordings:
    return random_recordings(layers=1, per_layer=70, tokens=12, per_split=5, excerpts=200)


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    monkeypatch.setenv("NEUROGLOSS_CONCURRENCY", "4")


def test_an_endless_answer_is_paid_as_often_as_failures_are_allowed(
    many: Recordings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows, slots = np.flatnonzero(~many.silent)[:24], many.slots.where(Split.SCORE)[:10]
    total = len(rows) * len(slots)
    limit = FailureLimit("simulations", "simulate", 0.1, total)
    texts: list[str | None] = [f"words for boats {row}" for row in rows]
    loud = model(capabilities=["json_schema"])
    with Server(always(Play(200, LOOP)), delay=0.001) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with pytest.raises(UserError, match="cut_off.*allows 10%"), open_client("gpt", loud) as client:
            simulate(many, rows, slots, texts, client, JSON.model_copy(update={"alternatives": 0}), loud, limit)
        paid = len(server.calls)
        assert total // 10 <= paid <= total // 10 + 8
        again, prompt = FailureLimit("simulations", "simulate", 0.1, total), JSON.model_copy(update={"alternatives": 0})
        with pytest.raises(UserError, match="cut_off"), open_client("gpt", loud) as client:
            simulate(many, rows, slots, texts, client, prompt, loud, again)
        assert len(server.calls) == paid, "what failed is known, so nothing more is asked"
    assert "fills its answers with blanks" in caplog.text


def test_second_tries_end_where_the_first_of_them_mend_nothing(many: Recordings) -> None:
    rows, slots = np.flatnonzero(~many.silent)[:20], many.slots.where(Split.SCORE)[:10]
    client = Scripted("nonsense")
    prompt = JSON.model_copy(update={"tries": 2, "alternatives": 0})
    found = simulate(many, rows, slots, ["x"] * len(rows), client, prompt, model())
    assert set(found.status.ravel().tolist()) == {CODES.index(Status.UNPARSABLE)}
    assert len(client.asked) == len(rows) * len(slots) + 16


def test_explaining_ends_with_the_neuron_that_is_one_too_many(many: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.flatnonzero(~many.silent)[:60]

    def plays(number: int, call: Call) -> Play | None:
        return Play(200, chat("", json.loads(call.text), "length")) if number >= 10 else None

    with Server(plays, delay=0.001) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with pytest.raises(UserError, match="7 of 60 explanations failed .7 cut_off."), open_client("gpt", model()) as client:
            explain_prompted(many, rows, PROMPTS["pairs"], settings(), model(), words, client, 0.1)
        assert 10 + 7 <= len(server.calls) <= 10 + 7 + 4


def test_a_neuron_of_which_one_sample_is_usable_has_not_failed(many: Recordings) -> None:
    def line(request: Request) -> Reply:
        return Reply("boats" if request.sample % 2 else "", "stop")

    rows = np.flatnonzero(~many.silent)[:10]
    found = explain_prompted(
        many, rows, PROMPTS["pairs"], settings(samples=2, temperature=1.0), scripted_model(), words, Scripted(line), 0.0
    )
    assert all([one.status for one in several] == [Status.UNPARSABLE, Status.OK] for several in found)
