"""Whatever a server sends is a value or a fault of one request: nothing else leaves the client, and nothing that was paid for is lost."""

import json
import subprocess
import sys

import pytest

from tests.llm.fuzzing import TIMEOUT_S, fuzz


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    monkeypatch.setenv("NEUROGLOSS_RETRY_S", "1")
    monkeypatch.setattr("neurogloss.config.environment.answer_timeout_s", lambda: TIMEOUT_S)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.FIRST_WAIT_S", 0.005)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.LONGEST_WAIT_S", 0.02)


def test_odd_answers_are_values_or_faults_of_one_request(quick: None) -> None:
    outcome = fuzz(120)
    assert (outcome.tracebacks, outcome.lost, outcome.first) == (0, 0, "")
    assert outcome.whole > 20
    assert outcome.slowest_s < TIMEOUT_S + 5.0


@pytest.mark.slow  # ten thousand answers take minutes
def test_ten_thousand_odd_answers_lose_nothing_and_take_little_memory() -> None:
    run = subprocess.run([sys.executable, "-m", "tests.llm.fuzzing", "10000"], capture_output=True, text=True, check=True, timeout=3600)
    found = json.loads(run.stdout.splitlines()[-1])
    assert (found["answers"], found["tracebacks"], found["lost"]) == (10_000, 0, 0), found["first"]
    assert found["slowest_s"] < TIMEOUT_S + 5.0
    assert found["peak_mb"] <= 300
