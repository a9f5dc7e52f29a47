"""Two runs at once pay for a question once, and a run that was killed holds nothing up."""

import os
import subprocess
import sys
import threading

import pytest

from neurogloss.errors import ProviderError
from neurogloss.llm.cache import Cache, cache_file
from neurogloss.llm.client import CachedClient, open_client
from neurogloss.llm.leases import Leases, alive, started
from neurogloss.llm.request import Answer, Reply
from tests.llm.asking import model, questions
from tests.llm.server import Call, Server


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    monkeypatch.setattr("neurogloss.llm.client.WAIT_S", 0.01)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.FIRST_WAIT_S", 0.001)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.LONGEST_WAIT_S", 0.001)


def at_once(counts: list[int]) -> list[tuple[list[Answer], CachedClient]]:
    """Clients with connections of their own to the cache, which ask so many questions at the same time."""
    found: list[tuple[list[Answer], CachedClient]] = []

    def run(count: int) -> None:
        with open_client("gpt", model()) as client:
            assert isinstance(client, CachedClient)
            found.append((client.ask(questions(count), ""), client))

    threads = [threading.Thread(target=run, args=[count]) for count in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_runs_at_once_pay_once_and_all_have_the_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(delay=0.02) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        found = at_once([40, 60, 40])
        assert len(server.calls) == 60
    assert sorted(len(answers) for answers, _ in found) == [40, 40, 60]
    assert all(isinstance(answer, Reply) for answers, _ in found for answer in answers)
    assert sum(client.tally.requests - client.tally.cached for _, client in found) == 60


def test_what_one_run_gave_up_the_next_asks_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def plays(number: int, call: Call) -> str | None:
        return "500" if "question 3" in call.text and number < 12 else None

    with Server(plays, delay=0.01) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        found = at_once([5, 5])
    failed = [isinstance(answer, ProviderError) for answers, _ in found for answer in answers]
    assert sum(failed) == 1
    assert not Cache(cache_file()).run("SELECT * FROM claims")


def test_a_killed_run_holds_nothing_up(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = f"{killed.pid}/{started(killed.pid)}/x"
    assert alive(owner)
    killed.kill()
    # Nobody asked for its result yet: it is still listed.
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    cache.change_all("INSERT INTO claims VALUES (?,?)", [(request.key, owner) for request in questions(3)])
    # The same number as this process, but of another start.
    cache.change("INSERT INTO claims VALUES (?,?)", [questions(4)[3].key, f"{os.getpid()}/1/x"])
    with Server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model()) as client:
            assert all(isinstance(answer, Reply) for answer in client.ask(questions(4), ""))
        assert len(server.calls) == 4
    killed.communicate()


def test_a_claim_is_anothers_as_long_as_it_lives(cache: Cache) -> None:
    one, other = Leases(cache), Leases(cache)
    assert one.take(["a", "b"]) == {"a", "b"}
    assert other.take(["b", "c"]) == {"c"}
    one.release()
    assert other.take(["b"]) == {"b", "c"}
    assert alive(one.owner)


def test_who_asks_anew_waits_for_nobody(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    Leases(cache).take([questions(1)[0].key])
    monkeypatch.setenv("REFRESH", "1")
    with Server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model()) as client:
            assert isinstance(client.ask(questions(1), "")[0], Reply)
