"""What the language-model client costs and loses, against a server on this machine that answers after a fixed delay.

    python -m benchmarks.client

One JSON line:
    ratio_to_ideal          wall time of 246 requests of 50 ms at 16 in flight, by the ideal 246 / 16 * 50 ms (best of some rounds)
    calls_after_interrupts  calls at the server for 300 distinct requests, the run ended by three Ctrl-C and then finished
    calls_after_kills       the same with three kill -9 of the process group; each may lose what is in flight
    calls_when_forced       calls of one more run
    faulty_run_agrees       whether the answers are the same where 10 % and 30 % of the calls fail
    lookup_s                seconds to look up 10,000 kept replies
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REQUESTS, DELAY, IN_FLIGHT, ROUNDS = 246, 0.05, 16, 5


@contextmanager
def server(log: Path, faults: float = 0.0, delay: float = DELAY) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.llm.server", "--delay", str(delay), "--faults", str(faults), "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def settings(url: str, folder: Path) -> dict[str, str]:
    changed = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-benchmark", "DVC_ROOT": str(folder), "NEUROGLOSS_CONCURRENCY": str(IN_FLIGHT)}
    # A hung connection costs its whole time-out.
    return {**os.environ, **changed, "NEUROGLOSS_TIMEOUT_S": "2"}


def worker(count: int, rounds: int) -> None:
    """Ask, in a process of its own: prints the best wall time and a digest of all answers."""
    from neurogloss.config.endpoints import Price
    from neurogloss.config.models import ModelParams
    from neurogloss.llm.client import open_client
    from neurogloss.llm.request import Message, Reply, Request

    price = Price(prompt=0.0, cached_prompt=0.0, completion=0.0)
    fields = dict.fromkeys(("revision", "sha256", "base_url_from", "key_from", "capabilities"))
    model = ModelParams(provider="openai", name="m", dtype="float32", context=4096, price=price, **fields)
    best, said = float("inf"), []
    with open_client("m", model) as client:
        if rounds > 1:
            client.ask([Request("openai", "m", messages=(Message("user", "warm up"),), max_tokens=9)], "")
        for number in range(rounds):
            asked = [Request("openai", "m", messages=(Message("user", f"{number} {index}"),), max_tokens=9) for index in range(count)]
            began = time.perf_counter()
            said += client.ask(asked, "asking")
            best = min(best, time.perf_counter() - began)
    texts = [answer.text if isinstance(answer, Reply) else answer.status for answer in said]
    print(json.dumps({"wall_s": best, "digest": hashlib.sha256(json.dumps(texts).encode()).hexdigest()}))


def start(count: int, rounds: int, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.client", "worker", str(count), str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, start_new_session=True)


def finished(count: int, rounds: int, environment: dict[str, str]) -> dict[str, object]:
    out, _ = start(count, rounds, environment).communicate(timeout=600)
    value: dict[str, object] = json.loads(out)
    return value


def calls(log: Path) -> int:
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


def interrupted(number: int, scratch: Path) -> tuple[int, int]:
    """Calls at the server after three ends by this signal and a run to the end, and calls of one more run."""
    folder = scratch / f"signal{number}"
    folder.mkdir()
    log = folder / "calls.txt"
    with server(log) as url:
        environment = settings(url, folder)
        for part in (1, 2, 3):
            process = start(300, 1, environment)
            while calls(log) < 60 * part:
                time.sleep(0.005)
            os.killpg(process.pid, number)
            process.wait()
        finished(300, 1, environment)
        before = calls(log)
        finished(300, 1, environment)
        return before, calls(log) - before


def faulty(share: float, scratch: Path) -> object:
    folder = scratch / f"faults{share}"
    folder.mkdir()
    with server(folder / "calls.txt", share, 0.01) as url:
        return finished(150, 1, settings(url, folder))["digest"]


def lookup_s(folder: Path) -> float:
    from neurogloss.llm.cache import Cache, CachedReply, to_row
    from neurogloss.llm.request import Reply, Usage

    cache = Cache(folder / "lookup.sqlite")
    row = to_row(CachedReply("m", Reply("words and phrases about rivers", usage=Usage(900, 0, 9)), 0.01, 1.0))
    keys = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(10_000)]
    cache.connection.execute("BEGIN")
    cache.connection.executemany("INSERT INTO replies VALUES (?,?,?,?,?,?,?,?,?)", [(key, *row) for key in keys])
    cache.connection.execute("COMMIT")
    began = time.perf_counter()
    assert len(cache.find(keys)) == len(keys)
    return time.perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        with server(scratch / "pace.txt") as url:
            wall_s = float(str(finished(REQUESTS, ROUNDS, settings(url, scratch))["wall_s"]))
        interrupts, forced = interrupted(signal.SIGINT, scratch)
        kills, forced_too = interrupted(signal.SIGKILL, scratch)
        result = {
            "ratio_to_ideal": round(wall_s / (REQUESTS / IN_FLIGHT * DELAY), 3),
            "calls_after_interrupts": interrupts,
            "calls_after_kills": kills,
            "calls_when_forced": forced + forced_too,
            "faulty_run_agrees": len({faulty(share, scratch) for share in (0.0, 0.1, 0.3)}) == 1,
            "lookup_s": round(lookup_s(scratch), 3),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
