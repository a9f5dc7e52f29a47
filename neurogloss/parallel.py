"""Where shards are worked on: one after the other in this process, or as tasks of a Ray cluster. Results come in the order of the shards.

A function that is mapped takes what all shards share and one shard, stands at the top of a module, and gives the same result wherever
it runs; so the engine changes no number.
"""

import ctypes
import logging
import os
import select
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from neurogloss.config.environment import engine, positive
from neurogloss.errors import UserError

logger = logging.getLogger(__name__)

Shared = TypeVar("Shared")
Shard = TypeVar("Shard")
Result = TypeVar("Result")

SHELLS = frozenset({"sh", "dash", "bash", "zsh", "ksh", "fish", "ash"})
RETRIES = 3
"""How often a shard is begun again after its worker died."""


def workers() -> int:
    """How many shards are worked on at the same time."""
    return 1 if engine() == "local" else ray_workers(connect())


def map_shards(function: Callable[[Shared, Shard], Result], shared: Shared, shards: Iterable[Shard]) -> Iterator[Result]:
    """The function's result for each shard, in the order of the shards; a shard is made when it is its turn.

    On Ray a shard whose worker is killed is begun again. Raises UserError where Ray is missing, cannot be reached or keeps losing workers.
    """
    if engine() == "ray":
        yield from map_on_ray(function, shared, shards)
    else:
        for shard in shards:
            yield function(shared, shard)


def ordered_parallel_map(
    function: Callable[[Shard], Result], items: Iterable[Shard], count: int, begin: Callable[[], object] = lambda: None
) -> Iterator[Result]:
    """The function's result for each item, in the order of the items, while threads of this process work on the next ones.

    `count` threads, each of which first calls `begin`. An item is made when it is its turn.
    """
    ahead = deque[Future[Result]]()
    with ThreadPoolExecutor(count, initializer=begin) as pool:
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > count:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for left in ahead:
                left.cancel()


def map_on_ray(function: Callable[[Shared, Shard], Result], shared: Shared, shards: Iterable[Shard]) -> Iterator[Result]:
    """A window of tasks, so that finished results do not pile up."""
    ray = connect()
    gpus = 1 if gpus_of(ray) else 0
    task = ray.remote(num_cpus=threads_each(), num_gpus=gpus, max_retries=RETRIES)(on_worker)
    running = deque[Any]()
    try:
        kept = ray.put(shared)
        for shard in shards:
            running.append(task.remote(function, kept, shard))
            if len(running) > ray_workers(ray):
                yield finished(ray, running.popleft())
        while running:
            yield finished(ray, running.popleft())
    except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError) as error:
        raise UserError(
            f"Ray has no room for what its workers hand on ({first_line(error)}); free the disk under /tmp/ray, or give "
            "`ray start` a larger --object-store-memory, then run again"
        ) from error
    finally:
        for left in running:
            ray.cancel(left)


def finished(ray: Any, running: Any) -> Any:
    """The result of a task; what went wrong there as it would be here."""
    try:
        return ray.get(running)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(str(error.cause)) from error
        raise
    except (
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.OutOfMemoryError,
        ray.exceptions.NodeDiedError,
        ray.exceptions.ObjectLostError,
    ) as error:
        raise UserError(
            f"a shard lost its Ray worker {RETRIES + 1} times ({first_line(error)}); "
            "give the workers more memory or start fewer, then run again"
        ) from error


def first_line(error: Exception) -> str:
    """What an error says, without the pages after it."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def on_worker(function: Callable[[Any, Any], Any], shared: Any, shard: Any) -> Any:
    """Work on one shard with the processors this task was given."""
    import ray

    processors = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
    os.environ["NEUROGLOSS_THREADS"] = str(max(1, int(processors)))
    os.environ["ENGINE"] = "local"
    if ray.get_gpu_ids() and not os.environ.get("NEUROGLOSS_DEVICE", "").startswith("cpu"):
        os.environ["NEUROGLOSS_DEVICE"] = "cuda"  # Of all GPUs, Ray shows this task its own alone, as the first.
    return function(shared, shard)


def threads_each() -> int:
    """Processors of one worker: NEUROGLOSS_THREADS where it is set, else one."""
    return positive("NEUROGLOSS_THREADS", 1)


def ray_workers(ray: Any) -> int:
    """Tasks that the cluster runs at the same time: by its GPUs where there are any, else by its processors.

    Raises UserError where no worker could ever start.
    """
    resources, each = ray.cluster_resources(), threads_each()
    processors = int(resources.get("CPU", 0))
    if processors < each:
        raise UserError(f"NEUROGLOSS_THREADS is {each}, but the Ray cluster has {processors} processors; ask for fewer or add a machine")
    return max(1, gpus_of(ray) or processors // each)


def gpus_of(ray: Any) -> int:
    """GPUs of the cluster; none where NEUROGLOSS_DEVICE names the processor."""
    return 0 if os.environ.get("NEUROGLOSS_DEVICE", "").startswith("cpu") else int(ray.cluster_resources().get("GPU", 0))


def connect() -> Any:
    """Ray, connected to RAY_ADDRESS or to a cluster started on this machine; UserError where that fails."""
    try:
        import ray
    except ImportError as error:
        raise UserError("ENGINE=ray needs Ray; run: pip install 'neurogloss[ray]'") from error
    if not ray.is_initialized():
        os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))  # Ray's own default is to try for ever.
        address = os.environ.get("RAY_ADDRESS")
        try:
            if address and address != "auto":
                check_reachable(address)
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING, _skip_env_hook=True)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            reason = first_line(error)
            where = f"the Ray cluster at RAY_ADDRESS={address}" if address else "a Ray cluster on this machine"
            raise UserError(f"{where} cannot be reached ({reason}); start it with `ray start --head`, or unset ENGINE") from error
        logger.info("spread over %s Ray workers", ray_workers(ray))
    return ray


def check_reachable(address: str) -> None:
    """Raise OSError or ValueError where nothing listens: Ray itself would end the process without an error to catch."""
    host, separator, port = address.rpartition("//")[2].rpartition(":")
    if not separator or not port.isdecimal():
        raise ValueError("expected HOST:PORT")
    socket.create_connection((host, int(port)), timeout=10).close()


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent ends, so that a killed `dvc repro` leaves no second writer; elsewhere do nothing.

    DVC starts a stage through a shell. Where that stays in between it does not end with DVC, so DVC itself is watched, too.
    """
    if sys.platform != "linux":
        return
    pr_set_pdeathsig, parent = 1, os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM)
    # The parent ended during the call. Process 1 as such is no sign of that: in a container it is the parent.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
    if "DVC_STAGE" in os.environ and process_name(parent) in SHELLS:
        die_with(parent_of(parent))


def process_name(process: int) -> str:
    """What Linux calls a process; empty where it is gone."""
    try:
        return Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def parent_of(process: int) -> int:
    """The parent of a process; 1 where the process is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 1
    return int(fields[1])


def die_with(process: int) -> None:
    """End this process when another one ends, however it does; at once where it has ended."""
    try:
        ended = os.pidfd_open(process) if process > 1 else None
    except ProcessLookupError:
        ended = None
    except OSError:  # Neither this kernel nor this sandbox can tell.
        return

    def wait() -> None:
        if ended is not None:
            select.select([ended], [], [])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True, name="die with DVC").start()
