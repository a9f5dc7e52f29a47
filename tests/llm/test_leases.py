"""Two runs at once pay for an answer once, and a run that was killed blocks nobody."""

import os
import subprocess
import sys
import threading

import pytest

from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.cache import Cache, cache_file
from neurogloss.llm.client import CachedClient, open_client
from neurogloss.llm.leases import Leases
from neurogloss.llm.request import Answer, Reply
from tests.llm.asking import model, questions
from tests.llm.server import Call, Server
from tests.toy import surroundings


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
        return "500" if "question 0" in call.text and number < 13 else None

    with Server(plays, delay=0.01) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        found = at_once([5, 5])
    failed = [isinstance(answer, ProviderError) for answers, _ in found for answer in answers]
    assert sum(failed) == 1
    assert not Cache(cache_file()).run("SELECT * FROM claims")


HOLD = """
import sys
from pathlib import Path
from neurogloss.llm.cache import Cache
from neurogloss.llm.leases import Leases
leases = Leases(Cache(Path(sys.argv[1])))
print(len(leases.take(sys.argv[2:])), flush=True)
sys.stdin.read()
"""


def test_a_killed_run_blocks_nobody(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [request.key for request in questions(3)]
    killed = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(cache.path), *keys], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=surroundings()
    )
    assert killed.stdout and killed.stdout.readline() == b"3\n"
    other = Leases(cache)
    assert other.take(keys) == set()
    other.release()
    killed.kill()
    # Its parent has not asked for its exit code yet, so it is still listed.
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    # By an earlier version, which kept no lock file.
    cache.change("INSERT INTO claims VALUES (?,?)", [questions(4)[3].key, f"{os.getpid()}/1/x"])
    with Server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model()) as client:
            assert all(isinstance(answer, Reply) for answer in client.ask(questions(4), ""))
        assert len(server.calls) == 4
    killed.communicate()
    assert not list(cache.path.parent.rglob("*.lock"))


def test_a_lease_is_anothers_until_it_is_given_up(cache: Cache) -> None:
    one, other = Leases(cache), Leases(cache)
    assert one.take(["a", "b"]) == {"a", "b"}
    assert other.take(["b", "c"]) == {"c"}
    one.release()
    assert other.take(["b"]) == {"b", "c"}
    other.release()
    other.release()
    assert not cache.run("SELECT * FROM claims") and not list(cache.path.parent.rglob("*.lock"))


def test_a_lease_taken_in_one_thread_can_be_given_up_in_another(cache: Cache) -> None:
    one, other = Leases(cache), Leases(cache)
    one.take(["a"])
    thread = threading.Thread(target=one.release)
    thread.start()
    thread.join()
    assert other.take(["a"]) == {"a"}


def test_leases_of_a_folder_that_cannot_be_written_are_one_line(cache: Cache) -> None:
    cache.path.with_name(f"{cache.path.name}.leases").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="cannot use"):
        Leases(cache)


def test_a_client_that_sends_every_request_again_waits_for_nobody(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    Leases(cache).take([questions(1)[0].key])
    monkeypatch.setenv("REFRESH", "1")
    with Server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model()) as client:
            assert isinstance(client.ask(questions(1), "")[0], Reply)
