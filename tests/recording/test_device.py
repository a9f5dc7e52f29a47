"""What is recorded on a device equals what the compiled loops record, whatever the batches; the processor stands in for the device."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from neurogloss.artifacts.recordings import Recordings
from neurogloss.config.record import RecordParams
from neurogloss.corpus.windows import Excerpts
from neurogloss.errors import UserError
from neurogloss.recording import device_memory, device_run, device_stream
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.device_memory import device_passes, room
from neurogloss.recording.device_ops import TorchOperations, nearest_half, ordered
from neurogloss.recording.device_run import part_on_device
from neurogloss.recording.layer import LayerState
from neurogloss.recording.layers import LayerPlan, frequent_tokens, plan_layers
from neurogloss.recording.run import record_excerpts
from neurogloss.recording.stream import Job, empty_states, run_shards
from tests.subject.made_up import MadeUp, made_up_excerpts, record_params
from tests.subject.test_architectures import CASES, random_subject

CPU = torch.device("cpu")
MOMENTS = ("mean", "variance", "skewness", "kurtosis")


def record(
    subject: Any, folder: Path, params: RecordParams, excerpts: Excerpts, monkeypatch: pytest.MonkeyPatch, way: str = "device"
) -> Recordings:
    monkeypatch.setenv("NEUROGLOSS_RECORDER", way)
    return record_excerpts(subject, excerpts, params, Scratch(folder, "key"))


def assert_same(one: Recordings, other: Recordings, rtol: float = 1e-5, atol: float = 1e-7) -> None:
    """Everything to the last bit, moments as near as float32 sums are."""
    for name in ("layers", "indices", "excerpts", "activations", "token_means", "table_tokens", "table_counts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in one.statistics.column_names:
        values = [found.statistics[name].to_numpy(zero_copy_only=False).astype(np.float64) for found in (one, other)]
        limits = {"rtol": rtol, "atol": atol} if name in MOMENTS else {"rtol": 0, "atol": 0}
        np.testing.assert_allclose(*values, **limits, err_msg=name)
    assert one.about == other.about


def batches_of(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Excerpts in a batch, whatever the memory."""
    real = device_run.room
    monkeypatch.setattr(device_run, "room", lambda *args: replace(real(*args), excerpts=size))


@pytest.mark.parametrize("size", [5, 64, 700])
@pytest.mark.parametrize("held_out", [False, True], ids=["windows", "documents"])
def test_everything_equals_what_the_loops_record(held_out: bool, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    excerpts = made_up_excerpts(held_out=held_out)
    expected = record(MadeUp(), tmp_path / "loops", record_params(), excerpts, monkeypatch, "loops")
    batches_of(size, monkeypatch)
    found = record(MadeUp(), tmp_path / "device", record_params(), excerpts, monkeypatch)
    assert_same(found, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"top": 1, "random": 1, "per_split": 1},
        {"top": 350, "random": 350},
        {"neurons": 3},
        {"layers": [1]},
        {"table_tokens": 1},
    ],
)
def test_any_params_give_what_the_loops_give(changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = record_params(**changes)
    expected = record(MadeUp(), tmp_path / "loops", params, made_up_excerpts(), monkeypatch, "loops")
    assert_same(record(MadeUp(), tmp_path / "device", params, made_up_excerpts(), monkeypatch), expected)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Products on other numbers of threads differ in their last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bos", [None, 1])
@pytest.mark.parametrize("kind", CASES)
def test_every_architecture_is_recorded_as_the_loops_record_it(
    kind: str, bos: int | None, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = random_subject(kind, CASES[kind][1], bos)
    subject.model.to(dtype)
    tokens = np.random.default_rng(1).integers(3, 50, (64, 12)).astype(np.int32)
    excerpts = Excerpts(["d"] * 64, np.arange(64, dtype=np.int32), tokens, np.zeros(64, np.bool_))
    params = record_params(excerpts=64, tokens=12, layers=[0, 2])
    monkeypatch.setattr("neurogloss.recording.stream.BATCH_TOKENS", 16 * 12)
    monkeypatch.setattr("neurogloss.recording.stream.LAST", 1)
    batches_of(16, monkeypatch)  # So do products of other shapes.
    monkeypatch.setenv("NEUROGLOSS_THREADS", "1")
    expected = record(subject, tmp_path / "loops", params, excerpts, monkeypatch, "loops")
    assert_same(record(subject, tmp_path / "device", params, excerpts, monkeypatch), expected, rtol=1e-4, atol=1e-5)


class Strange(MadeUp):
    """Ties, both zeros, numbers beyond float16, below its smallest, and a unit that never changes."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        rng = np.random.default_rng(5)
        for table in self.by_token:
            table[:] = rng.choice(np.float32([-70000, -1, -0.0, 0.0, 1e-8, 3e-8, 0.25, 2, 66000]), table.shape)
            table[:, 1] = 0.7
            table[:, 2] = rng.choice(np.float32([-0.0, 0.0]), len(table))

    def dense(self, layer: int, tokens: np.ndarray) -> np.ndarray:
        return np.asarray(self.by_token[layer][tokens])

    def activations(self, tokens: torch.Tensor, layers: Sequence[int], visit: Any) -> None:
        super().activations(tokens, layers, lambda layer, seen: visit(layer, seen.to(self.dtype)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_ties_zeros_overflow_and_tiny_numbers_are_as_the_loops_have_them(
    dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    excerpts = made_up_excerpts(held_out=True)
    expected = record(Strange(dtype), tmp_path / "loops", record_params(), excerpts, monkeypatch, "loops")
    batches_of(33, monkeypatch)
    found = record(Strange(dtype), tmp_path / "device", record_params(), excerpts, monkeypatch)
    assert_same(found, expected, rtol=1e-3, atol=1e-6)
    assert found.about["clipped_activations"] > 0
    constant = found.statistics["variance"].to_numpy()[found.indices == 1]
    np.testing.assert_array_equal(constant, 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_activations_that_are_not_finite_end_the_run_with_layer_and_excerpt(
    value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(MadeUp):
        def activations(self, tokens: torch.Tensor, layers: Sequence[int], visit: Any) -> None:
            def spoiled(layer: int, seen: torch.Tensor) -> None:
                wrong = (tokens == torch.from_numpy(made_up_excerpts().tokens[261])).all(dim=1) if layer == 1 else torch.zeros(len(tokens))
                seen[wrong.bool(), 3, 4] = value
                visit(layer, seen)

            super().activations(tokens, layers, spoiled)

    with pytest.raises(UserError, match="layer 1 gives NaN or infinite activations on excerpt 261"):
        record(Broken(), tmp_path, record_params(), made_up_excerpts(), monkeypatch)


def test_layers_that_do_not_fit_at_once_are_recorded_in_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, several = MadeUp((6, 9, 5)), MadeUp((6, 9, 5))
    expected = record(one, tmp_path / "one", record_params(), made_up_excerpts(), monkeypatch)
    real = device_run.room
    monkeypatch.setattr(device_run, "room", lambda *args: replace(real(*args), states={CPU: 1}))
    assert_same(record(several, tmp_path / "several", record_params(), made_up_excerpts(), monkeypatch), expected, rtol=0, atol=0)
    assert several.passes == 3 * one.passes


def test_passes_are_as_few_as_each_device_allows() -> None:
    nothing = np.empty(0, np.int32)
    plans = [LayerPlan(layer, 10, np.arange(10, dtype=np.int32), nothing, 9) for layer in range(6)]
    one, two = torch.device("cuda:0"), torch.device("cuda:1")
    alike = [one] * 6
    assert device_passes(plans, alike, 5, {one: 300}) == [range(6)]
    assert device_passes(plans, alike, 5, {one: 299}) == [range(1), range(1, 6)]
    assert device_passes(plans, alike, 5, {one: 10}) == [range(layer, layer + 1) for layer in range(6)]
    both = [one] * 3 + [two] * 3
    assert device_passes(plans, both, 5, {one: 150, two: 150}) == [range(6)]
    assert device_passes(plans, both, 5, {one: 100, two: 150}) == [range(1), range(1, 6)]


def test_batches_and_states_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROGLOSS_DEVICE_MEMORY_MB", "80000")
    gpu = torch.device("cuda:0")
    large = room([gpu, gpu], 6400, 64, 2)
    assert large.excerpts == device_memory.MOST_TOKENS // 64
    assert 70e9 < large.states[gpu] < 80e9 - large.excerpts * 64 * 6400 * 2
    assert room([gpu], 14336, 64, 2).excerpts == 144  # No more activations at once than keep a GPU busy.
    monkeypatch.setenv("NEUROGLOSS_DEVICE_MEMORY_MB", "2000")
    assert room([gpu], 6400, 64, 2).excerpts == 48
    monkeypatch.setenv("NEUROGLOSS_DEVICE_MEMORY_MB", "1")
    assert room([gpu], 6400, 64, 2).excerpts == 1


class Small(TorchOperations):
    """A device whose memory holds batches of so many excerpts."""

    def __init__(self, most: int, said: str = "") -> None:
        self.most, self.said, self.tried = most, said, list[int]()

    def add_tokens(self, values: torch.Tensor, *rest: Any) -> None:
        self.tried.append(len(values))
        if len(values) > self.most:
            raise RuntimeError(self.said) if self.said else torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        super().add_tokens(values, *rest)


@pytest.mark.parametrize("said", ["", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"])
def test_where_memory_runs_out_batches_become_smaller_and_nothing_is_counted_twice(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = record(MadeUp(), tmp_path / "loops", record_params(), made_up_excerpts(), monkeypatch, "loops")
    batches_of(512, monkeypatch)
    device = Small(130, said)
    monkeypatch.setattr(device_stream, "operations_on", lambda place: device)
    assert_same(record(MadeUp(), tmp_path / "device", record_params(), made_up_excerpts(), monkeypatch), expected)
    assert device.tried[:3] == [512, 256, 128]
    assert "cpu has no memory left; going on with batches of 128 excerpts" in caplog.text


def test_memory_that_runs_out_later_costs_what_was_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = record(MadeUp(), tmp_path / "loops", record_params(), made_up_excerpts(), monkeypatch, "loops")
    batches_of(100, monkeypatch)
    monkeypatch.setattr("neurogloss.recording.checkpoint.SECONDS", 0.0)
    subject, device = MadeUp(), Small(100)
    real = device_stream.run_batch

    def run_batch(*args: Any) -> None:
        if subject.passes == 4:
            device.most = 50
        real(*args)

    monkeypatch.setattr(device_stream, "operations_on", lambda place: device)
    monkeypatch.setattr(device_stream, "run_batch", run_batch)
    assert_same(record(subject, tmp_path / "device", record_params(), made_up_excerpts(), monkeypatch), expected)
    assert subject.passes == 4 + 1 + 6


def test_no_memory_at_all_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_stream, "operations_on", lambda place: Small(0))
    with pytest.raises(
        UserError, match="cpu has no memory for a batch of one excerpt; end what else uses it, set NEUROGLOSS_DEVICE_MEMORY_MB"
    ):
        record(MadeUp(), tmp_path / "a", record_params(), made_up_excerpts(), monkeypatch)

    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(device_stream, "empty_device_state", full)
    with pytest.raises(UserError, match="cpu has no memory for what is kept of layers 0 to 1; end what else uses it"):
        record(MadeUp(), tmp_path / "b", record_params(), made_up_excerpts(), monkeypatch)


def test_other_errors_are_not_taken_for_a_lack_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_stream, "operations_on", lambda place: Small(0, "an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        record(MadeUp(), tmp_path, record_params(), made_up_excerpts(), monkeypatch)


class Stopped(Exception):
    """A kill in the middle of a pass."""


@pytest.mark.parametrize("passes", [0, 1, 3, 6])
def test_a_killed_run_goes_on_where_it_stopped_and_ends_with_the_same_bytes(
    passes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurogloss.recording.checkpoint.SECONDS", 0.0)
    batches_of(100, monkeypatch)
    whole = record(MadeUp(), tmp_path / "whole", record_params(), made_up_excerpts(held_out=True), monkeypatch)

    class Fragile(MadeUp):
        def activations(self, *args: Any) -> None:
            if self.passes == passes:
                raise Stopped
            super().activations(*args)

    with pytest.raises(Stopped):
        record(Fragile(), tmp_path / "cut", record_params(), made_up_excerpts(held_out=True), monkeypatch)
    batches_of(300, monkeypatch)  # More memory is free now; the batches stay those of the killed run.
    again = MadeUp()
    found = record(again, tmp_path / "cut", record_params(), made_up_excerpts(held_out=True), monkeypatch)
    assert again.passes == (7 - passes if passes else 3)
    assert_same(found, whole, rtol=0, atol=0 if passes else 1e-7)


def test_finished_layers_are_not_recorded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, room_for_one = device_run.room, {CPU: 1}
    monkeypatch.setattr(device_run, "room", lambda *args: replace(real(*args), states=room_for_one))
    whole = record(MadeUp(), tmp_path / "whole", record_params(), made_up_excerpts(), monkeypatch)
    home, calls = device_run.take_home, list[int]()

    def take_home(plan: LayerPlan, *rest: Any) -> Any:
        calls.append(plan.layer)
        if plan.layer == 1:
            raise Stopped
        return home(plan, *rest)

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(device_run, "take_home", take_home)
        record(MadeUp(), tmp_path / "cut", record_params(), made_up_excerpts(), patched)
    again = MadeUp()
    assert_same(record(again, tmp_path / "cut", record_params(), made_up_excerpts(), monkeypatch), whole, rtol=0, atol=0)
    assert again.passes == -(-700 // 256)
    assert calls == [0, 1]


@pytest.mark.parametrize("held_out", [False, True])
def test_a_worker_hands_on_what_the_loops_would(held_out: bool) -> None:
    """Also from fewer excerpts than are kept."""
    excerpts, params, subject = made_up_excerpts(held_out=held_out), record_params(), MadeUp()
    plans = plan_layers(params, subject.indices, excerpts.held_out)
    table = frequent_tokens(excerpts.tokens[~excerpts.held_out], params.table_tokens)
    job = Job(subject.loader, excerpts, plans, table, params.top)  # type: ignore[arg-type]  # it quacks
    expected = empty_states(job)
    (moments,) = run_shards(subject, job, expected, [0], lambda _: None)  # type: ignore[arg-type]
    few = range(0, 700)
    found, others = part_on_device(subject, excerpts, plans, table, params.top, few)  # type: ignore[arg-type]
    for one, other in zip(found, expected, strict=True):
        assert_same_state(one, other)
    for mine, theirs in zip(others, moments, strict=True):
        np.testing.assert_allclose(mine.mean, theirs.mean, rtol=1e-5)
        np.testing.assert_allclose(mine.sums, theirs.sums, rtol=1e-4)
    some, _ = part_on_device(subject, excerpts, plans, table, params.top, range(5))  # type: ignore[arg-type]
    assert (np.sort(some[0].keys, axis=1)[:, 0] < 0).all()


def assert_same_state(one: LayerState, other: LayerState) -> None:
    """Up to the order of places."""
    orders = [np.argsort(state.keys, axis=1) for state in (one, other)]
    for name in (entry.name for entry in fields(LayerState)):
        values = [getattr(state, name) for state in (one, other)]
        if name in ("keys", "top"):
            values = [value[np.arange(len(value))[:, None], order] for value, order in zip(values, orders, strict=True)]
        if name not in ("count", "mean", "central"):
            np.testing.assert_array_equal(*values, err_msg=name)


def test_float64_is_rounded_to_float16_once() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = np.sort(halves[np.isfinite(halves)].astype(np.float64))
    between = (halves[1:] + halves[:-1]) / 2
    near = between[between != 0] * (1 + 2.0**-40 * np.array([[-1], [0], [1]]))
    values = np.concatenate([halves, between, near.ravel(), [np.nan]])
    found = nearest_half(torch.from_numpy(values)).numpy()
    np.testing.assert_array_equal(found, values.astype(np.float16))


def test_strengths_order_like_the_numbers() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    found = ordered(torch.from_numpy(halves.copy())).numpy()
    order = np.argsort(halves, kind="stable")
    steps, numbers = np.diff(found[order]), np.diff(halves[order].astype(np.float32))
    assert ((steps > 0) == (numbers > 0)).all()
    assert found.min() >= 0
    assert found[np.flatnonzero(halves == 0)].tolist() == [0x8000, 0x8000]


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is installed with torch for CUDA only")
def test_the_fused_kernels_do_what_plain_torch_does() -> None:
    """In a process of its own, where Triton's interpreter stands in for a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).with_name("test_device_triton.py"))]
    done = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


WAITING = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "unique", "bincount", "equal", "repeat_interleave")
"""Operations for which the host waits for a device: their result, or its size, is a number at home."""


class NothingWaits(TorchDispatchMode):
    """Fails where one is called, or an index is a mask, whose size would have to be counted."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).removeprefix("aten.").split(".")[0].strip("_")
        assert name not in [waiting.strip("_") for waiting in WAITING], func
        if name in ("index", "index_put"):
            assert all(index is None or index.dtype != torch.bool for index in args[1]), func
        return func(*args, **(kwargs or {}))


def test_the_host_does_not_wait_for_the_device_within_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, batches = device_stream.run_batch, list[int]()

    def run_batch(*args: Any) -> None:
        with NothingWaits():
            real(*args)
        batches.append(1)

    monkeypatch.setattr(device_stream, "run_batch", run_batch)
    record(MadeUp(), tmp_path, record_params(neurons=4), made_up_excerpts(held_out=True), monkeypatch)
    assert len(batches) > 1
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NothingWaits():
        torch.ones(1).sum().item()
    with pytest.raises(AssertionError, match="index"), NothingWaits():
        torch.ones(3)[torch.ones(3) > 0]
