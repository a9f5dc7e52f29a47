"""A server of somebody else's in a process of its own, for as long as a test needs it."""

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def served(command: list[str], environment: dict[str, str], address: str, method: str = "GET") -> Iterator[None]:
    """Run the server until the end of the block; the block begins when the address answers."""
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.2)
        else:
            pytest.fail(f"the server did not answer at {address}")
        yield
    finally:
        server.terminate()
        server.wait(timeout=30)
