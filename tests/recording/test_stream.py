"""Batches go side by side: as many as the threads and the memory allow, and what they give comes in their order."""

import threading

import pytest
import torch

from neurogloss.recording import stream
from neurogloss.recording.stream import on_streams


@pytest.mark.parametrize(
    ("threads", "memory_mb", "device", "streams", "each"),
    [
        (1, 2000, "cpu", 1, 1),
        (2, 2000, "cpu", 2, 1),
        (8, 2000, "cpu", 8, 1),
        (12, 2000, "cpu", 6, 2),  # Eight streams of one thread would leave four threads idle.
        (64, 2000, "cpu", 8, 8),
        (8, 400, "cpu", 2, 4),  # Each holds 12 * 2048 * 1000 float32.
        (8, 1, "cpu", 1, 8),
        (8, 1500, "cuda", 1, 8),
    ],
)
def test_streams_share_the_threads_and_fit_in_the_memory(
    threads: int, memory_mb: int, device: str, streams: int, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("threads", threads), ("memory_mb", memory_mb), ("device", device)):
        monkeypatch.setattr(stream, name, lambda value=value: value)
    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    together = threading.Barrier(streams)

    def work(number: int) -> int:
        together.wait(timeout=30)  # Breaks where there are fewer streams.
        return -number

    assert list(on_streams(work, iter(range(2 * streams)), (10, 1000))) == [-number for number in range(2 * streams)]
    assert given == [each] * streams
