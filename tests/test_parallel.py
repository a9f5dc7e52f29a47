"""The engine changes no number: Ray gives the same bytes as this process, survives a killed worker, and says what is missing."""

import hashlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from neurogloss.artifacts.recordings import write_recordings
from neurogloss.config.environment import engine, threads
from neurogloss.config.explain import ConceptsParams
from neurogloss.errors import UserError
from neurogloss.explainers import concepts
from neurogloss.parallel import connect, finished, map_shards, on_worker, ordered_parallel_map, ray_workers, workers
from neurogloss.recording import stream as stream_module
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.run import record_excerpts
from neurogloss.simulators import vocabulary as vocabulary_module
from tests.simulators.fake import vocabulary
from tests.subject.made_up import MadeUp, made_up_excerpts, record_params
from tests.tiny import random_recordings


def test_local_is_the_default_and_works_in_the_order_of_the_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGINE", raising=False)
    assert engine() == "local"
    assert workers() == 1
    assert list(map_shards(add, 10, [3, 1, 2])) == [13, 11, 12]


def test_an_unknown_engine_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "spark")
    with pytest.raises(UserError, match="ENGINE is 'spark', expected local or ray"):
        engine()


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE", "ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"ENGINE=ray needs Ray; run: pip install 'neurogloss\[ray\]'"):
        list(map_shards(add, 1, [1]))


def test_side_by_side_keeps_the_order_and_makes_no_item_before_its_turn() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    def work(number: int) -> int:
        time.sleep(0.01 * (number % 3))
        return number * number

    for place, found in enumerate(ordered_parallel_map(work, items(), 3)):
        assert found == place**2
        assert len(made) <= place + 1 + 3


def test_side_by_side_ends_with_the_first_failure_in_the_order_of_the_items() -> None:
    done: list[int] = []

    def work(number: int) -> int:
        if number in (2, 3):
            time.sleep(0.05 if number == 2 else 0)
            raise UserError(f"item {number}")
        done.append(number)
        return number

    found: list[int] = []
    with pytest.raises(UserError, match="item 2"):
        for value in ordered_parallel_map(work, iter(range(100)), 2):
            found.append(value)
    assert found == [0, 1]
    assert max(done) < 6


def add(shared: int, shard: int) -> int:
    return shared + shard


def fail(shared: str, shard: int) -> int:
    if shard == 2:
        raise UserError(shared)
    return shard


def die_once(folder: Path, shard: int) -> int:
    """Killed the first time shard 1 is worked on."""
    marker = folder / "died"
    if shard == 1 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return shard * 10


def die(shared: None, shard: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return shard


def threads_there(shared: None, shard: int) -> int:
    return threads()


@dataclass(frozen=True)
class MortalLoader:
    """Its process is killed the first time it loads."""

    folder: Path

    def __call__(self) -> MadeUp:
        die_once(self.folder, 1)
        return MadeUp()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers on this machine."""
    ray = pytest.importorskip("ray", reason="Ray is an optional extra")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200_000_000,
        _node_ip_address="127.0.0.1",
    )
    yield ray
    ray.shutdown()


@pytest.fixture
def on_ray(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ENGINE", "ray")
    return cluster


class TestOnRay:
    pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own.

    def test_results_come_in_the_order_of_the_shards(self, on_ray: Any) -> None:
        assert workers() == 2
        assert list(map_shards(add, 10, list(range(9)))) == list(range(10, 19))

    def test_an_error_of_the_user_stays_one(self, on_ray: Any) -> None:
        with pytest.raises(UserError, match="^layer 3 is broken$"):
            list(map_shards(fail, "layer 3 is broken", [1, 2, 3]))

    def test_a_killed_worker_is_survived(self, on_ray: Any, tmp_path: Path) -> None:
        assert list(map_shards(die_once, tmp_path, [0, 1, 2])) == [0, 10, 20]
        assert (tmp_path / "died").exists()

    def test_a_shard_that_always_kills_its_worker_is_an_error(self, on_ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("neurogloss.parallel.RETRIES", 0)
        with pytest.raises(UserError, match="a shard lost its Ray worker 1 times"):
            list(map_shards(die, None, [1]))

    def test_a_worker_out_of_memory_is_an_error(self, cluster: Any) -> None:
        def get(_: Any) -> None:
            raise cluster.exceptions.OutOfMemoryError("Task was killed due to the node running low on memory.\nMemory on the node...")

        with pytest.raises(UserError, match=r"running low on memory\.\); give the workers more memory or start fewer, then run again"):
            finished(SimpleNamespace(get=get, exceptions=cluster.exceptions), None)

    def test_a_worker_on_a_lost_machine_is_an_error(self, cluster: Any) -> None:
        def get(_: Any) -> None:
            raise cluster.exceptions.ObjectLostError("ab" * 14, None, "somewhere")

        with pytest.raises(UserError, match="a shard lost its Ray worker 4 times"):
            finished(SimpleNamespace(get=get, exceptions=cluster.exceptions), None)

    @pytest.mark.parametrize("cause", ["ObjectStoreFullError", "OutOfDiskError"])
    def test_a_full_disk_of_the_cluster_is_an_error(self, on_ray: Any, cause: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(_: Any) -> None:
            raise getattr(on_ray.exceptions, cause)("no space left")

        monkeypatch.setattr(on_ray, "put", full)
        with pytest.raises(UserError, match="Ray has no room for what its workers hand on .*no space left.*; free the disk under /tmp/ray"):
            list(map_shards(add, 10, [1, 2]))

    def test_a_worker_gets_the_threads_that_are_asked_for(self, on_ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        assert list(map_shards(threads_there, None, [0])) == [1]
        monkeypatch.setenv("NEUROGLOSS_THREADS", "2")
        assert workers() == 1
        assert list(map_shards(threads_there, None, [0])) == [2]
        monkeypatch.setenv("NEUROGLOSS_THREADS", "3")
        with pytest.raises(
            UserError, match="NEUROGLOSS_THREADS is 3, but the Ray cluster has 2 processors; ask for fewer or add a machine"
        ):
            list(map_shards(threads_there, None, [0]))

    @pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.slow)])  # New workers take half a minute.
    def test_recordings_are_the_same_bytes(self, on_ray: Any, killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("ray", "local"):
            monkeypatch.setenv("ENGINE", name)
            subject = MadeUp()
            if killed:
                subject.loader = MortalLoader(tmp_path)  # type: ignore[assignment]  # it quacks
            found = record_excerpts(subject, made_up_excerpts(), record_params(), Scratch(tmp_path / f"scratch-{name}", "key"))  # type: ignore[arg-type]  # it quacks
            write_recordings(tmp_path / name, found)
        assert digest(tmp_path / "ray") == digest(tmp_path / "local")
        assert (tmp_path / "died").exists() == killed

    def test_explanations_and_simulations_are_the_same(self, on_ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(concepts, "BLOCK", 5)
        monkeypatch.setattr(vocabulary_module, "BLOCK", 3)
        recordings = random_recordings(layers=2, per_layer=6, tokens=12, per_split=3, excerpts=80)
        raised = {f"bank {number}": {f" w{token}": 4.0 for token in range(number, 40, 7)} for number in range(9)}
        monkeypatch.setattr(concepts, "read_bank", lambda name: list(raised))
        params = ConceptsParams(bank="any", phrases=3, shortlist=9)
        found = []
        for name in ("ray", "local"):
            monkeypatch.setenv("ENGINE", name)
            explained = concepts.explain_concepts(recordings, vocabulary(recordings, raised), params)
            texts = [one.text for one in explained]
            levels = vocabulary_module.simulate(vocabulary(recordings, raised), np.arange(len(recordings)), np.array([1, 2]), texts)
            found.append((explained, levels.levels.tobytes(), levels.status.tobytes()))
        assert found[0] == found[1]
        assert sum(text is not None for text in texts) > 5


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_states_of_parts_taken_together_are_the_state_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as on Ray, in one process, with as many shards as can be."""
    monkeypatch.setattr(stream_module, "BATCH_TOKENS", 35 * 8)
    monkeypatch.setattr(stream_module, "SHARD_BATCHES", 2)
    for name in ("local", "ray"):
        monkeypatch.setattr(stream_module, "engine", lambda name=name: name)
        monkeypatch.setattr(stream_module, "workers", lambda: 3)
        found = record_excerpts(MadeUp(), made_up_excerpts(), record_params(), Scratch(tmp_path / f"scratch-{name}", "key"))  # type: ignore[arg-type]  # it quacks
        write_recordings(tmp_path / name, found)
    assert digest(tmp_path / "ray") == digest(tmp_path / "local")


SHELL = """
import subprocess, sys
command = "exec " + sys.argv[2] if sys.argv[1] == "exec" else sys.argv[2] + "; true"
subprocess.run(["/bin/sh", "-c", command], check=False)
"""
CHILD = "import os, sys; from neurogloss.parallel import die_with_parent as d; d(); print(os.getpid(), flush=True); sys.stdin.read()"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent ended")
@pytest.mark.parametrize("shell", ["exec", "stays"])
def test_a_stage_ends_with_dvc_even_where_a_shell_stands_between_them(shell: str) -> None:
    """The pipe that the child holds is closed when it has ended."""
    child = f"{sys.executable} -c '{CHILD}'"
    environment = {**os.environ, "DVC_STAGE": "record", "PYTHONPATH": str(Path(__file__).parents[1])}
    keep, held = os.pipe()
    started = subprocess.Popen(
        [sys.executable, "-c", SHELL, shell, child], stdin=keep, stdout=subprocess.PIPE, env=environment, text=True, pass_fds=()
    )
    assert started.stdout is not None
    process = int(started.stdout.readline())
    ended = os.pidfd_open(process)
    started.kill()
    started.communicate()
    assert select.select([ended], [], [], 20)[0]
    for descriptor in (keep, held, ended):
        os.close(descriptor)


@pytest.mark.parametrize(
    ("address", "reason"), [("127.0.0.1:1", "refused"), ("ray://127.0.0.1:1", "refused"), ("somewhere", "expected HOST:PORT")]
)
def test_an_address_that_does_not_answer_is_an_error(address: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False))
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(
        UserError, match=f"the Ray cluster at RAY_ADDRESS={address} cannot be reached .*{reason}.*; start it with `ray start --head`"
    ):
        connect()


def test_a_worker_that_always_runs_out_of_memory_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's default is to retry without end; the process that asks for the work is the one that decides."""
    seen: dict[str, str | None] = {}

    def init(**_: Any) -> None:
        seen["retries"] = os.environ.get("RAY_task_oom_retries")  # noqa: SIM112  # Ray spells it so

    fake = SimpleNamespace(is_initialized=lambda: False, init=init, cluster_resources=lambda: {"CPU": 2})
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setenv("RAY_task_oom_retries", "")  # So that it is restored after the test.
    monkeypatch.delenv("RAY_task_oom_retries")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    connect()
    assert seen == {"retries": "3"}


@pytest.mark.parametrize(
    ("named", "given", "seen", "workers"),
    [("", [2], "cuda", 2), ("cuda:1", [2], "cuda", 2), ("auto", [2], "cuda", 2), ("cpu", [2], "cpu", 8), ("", [], "", 2)],
)
def test_a_worker_takes_the_gpu_that_ray_gives_it_unless_the_processor_is_named(
    named: str, given: list[int], seen: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = SimpleNamespace(get_assigned_resources=lambda: {"CPU": 1})
    fake = SimpleNamespace(
        get_runtime_context=lambda: context, get_gpu_ids=lambda: given, cluster_resources=lambda: {"CPU": 8.0, "GPU": 2.0}
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    for name, value in (("NEUROGLOSS_DEVICE", named), ("NEUROGLOSS_THREADS", ""), ("ENGINE", "")):
        monkeypatch.setenv(name, value)
    assert on_worker(lambda shared, shard: os.environ["NEUROGLOSS_DEVICE"], None, 0) == seen
    monkeypatch.setenv("NEUROGLOSS_DEVICE", named)
    assert ray_workers(fake) == workers
