"""Revision at an endpoint: it stops at the budget, and goes on with what was paid for."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from neurogloss.artifacts.candidates import Candidate, Candidates
from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import Status
from neurogloss.config.endpoints import EndpointParams
from neurogloss.config.models import Price
from neurogloss.config.params import Params, load_params
from neurogloss.errors import UserError
from neurogloss.refining.refine import Refined, refine_in_rounds
from neurogloss.subject.sentences import Heard, Sentence
from tests.llm.server import Call, Play, Server, chat
from tests.tiny import random_recordings

ROOT = Path(__file__).parents[2]
ROUNDS = 2


def answers(_: int, call: Call) -> Play:
    """Sentences where they are asked for, else an explanation; both follow from the question."""
    question = call.body["messages"][-1]["content"]
    name = hashlib.sha256(question.encode()).hexdigest()[:6]
    proposed = "\n".join(f"{sort}: {sort} w{name} w{place}" for sort in ("YES", "NO") for place in range(4))
    return Play(200, chat(proposed if "believed to respond" in question else f"words about w{name}", json.loads(call.text)))


def settings() -> Params:
    params = load_params(ROOT / "params.yaml")
    served = params.models["openai"].model_copy(update={"name": "gpt-test", "context": 100_000})
    return params.model_copy(
        update={
            "models": {"served": served, "smollm2": params.models["smollm2"]},
            "endpoints": {"served": EndpointParams(price=Price(prompt=2.0, cached_prompt=1.0, completion=8.0))},
            "explain": params.explain.model_copy(update={"model": "served", "method": "pieces"}),
            "simulate": params.simulate.model_copy(update={"method": "reader"}),
            "refine": params.refine.model_copy(update={"rounds": ROUNDS, "sentences": 4}),
        }
    )


def read(sentences: Sequence[Sentence]) -> list[Heard]:
    return [Heard(tuple(f" {w}".encode() for w in one.text.split()), tuple(float(len(w)) for w in one.text.split())) for one in sentences]


def refined(recordings: Recordings) -> Refined:
    rows: list[tuple[Candidate, ...]] = [(Candidate(f"words of row {row}", Status.OK),) for row in range(len(recordings))]
    return refine_in_rounds(recordings, Candidates(recordings.layers, recordings.indices, rows), settings(), reader=lambda _: read)


def test_two_rounds_stop_at_the_budget_and_pay_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings = random_recordings()
    units = int((~recordings.silent).sum())
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    monkeypatch.setenv("NEUROGLOSS_CONCURRENCY", "2")
    with Server(answers, delay=0.001) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / "whole"))
        whole, asked = refined(recordings), Counter(call.text for call in server.calls)
        server.calls.clear()
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / "halting"))
        stops = 0
        for mills in range(10, 200):
            monkeypatch.setenv("NEUROGLOSS_BUDGET_USD", str(mills / 1000))
            try:
                found = refined(recordings)
                break
            except UserError as error:
                assert "the budget of" in str(error) and "run again to go on" in str(error)
                stops += 1
        assert stops > ROUNDS and asked.total() == units * ROUNDS * 2
        assert Counter(call.text for call in server.calls) == asked
    assert (found.explanations.texts, found.revisions) == (whole.explanations.texts, whole.revisions)
