"""Recording sparse values: everything kept equals what the dense recorder keeps of the same numbers, and memory follows what fires."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from neurogloss.artifacts.recordings import Recordings, Split, read_recordings, write_recordings
from neurogloss.artifacts.sparse import SparseRows, rows_from
from neurogloss.artifacts.units import UnitKind
from neurogloss.config.record import RecordParams
from neurogloss.corpus.windows import Excerpts
from neurogloss.recording import sparse as sparse_module
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.run import record_excerpts
from tests.recording.test_record import digest
from tests.subject.made_up import MadeUp, MadeUpLoader, made_up_excerpts, record_params


class Sparse(MadeUp):
    """Values above zero only, and most are not; the first unit never fires, the second on one token alone."""

    def __init__(self, widths: Sequence[int] = (6, 9), sparse: bool = True) -> None:
        super().__init__(widths)
        self.sparse = sparse
        self.loader = SparseLoader(self.widths)
        for table in self.by_token:
            table[:] = np.where(table > 0.3, table, 0)
            table[1:, 1] = 0

    def dense(self, layer: int, tokens: np.ndarray) -> np.ndarray:
        quiet = (np.arange(tokens.shape[1]) + tokens) % 3 > 0
        return super().dense(layer, tokens) * quiet[..., None]

    def activations(self, tokens: Tensor, layers: Sequence[int], visit: Any) -> None:
        def shown(layer: int, values: Tensor) -> None:
            visit(layer, values.to_sparse().coalesce() if self.sparse else values)

        super().activations(tokens, layers, shown)


class SparseLoader(MadeUpLoader):
    def __call__(self) -> Sparse:
        return Sparse(self.widths)


def run(folder: Path, excerpts: Excerpts, params: RecordParams, sparse: bool) -> Recordings:
    kind = UnitKind.LATENTS if sparse else UnitKind.NEURONS
    found = record_excerpts(Sparse(sparse=sparse), excerpts, params, Scratch(folder / "scratch", "key"), kind)  # type: ignore[arg-type]  # it quacks
    write_recordings(folder / "out", found)
    return read_recordings(folder / "out")


@pytest.fixture(scope="module", params=[False, True], ids=["windows", "documents"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recordings, Recordings]:
    excerpts = made_up_excerpts(held_out=request.param)
    return tuple(run(tmp_path_factory.mktemp("both"), excerpts, record_params(), sparse) for sparse in (True, False))  # type: ignore[return-value]  # two


def test_excerpts_activations_and_token_means_are_those_of_the_dense_recorder(both: tuple[Recordings, Recordings]) -> None:
    sparse, dense = both
    assert isinstance(sparse.activations, SparseRows) and isinstance(sparse.token_means, SparseRows)
    assert sparse.kind is UnitKind.LATENTS and sparse.name(3) == "L0.F3"
    np.testing.assert_array_equal(sparse.excerpts, dense.excerpts)
    np.testing.assert_array_equal(np.asarray(sparse.activations), dense.activations)
    np.testing.assert_array_equal(np.asarray(sparse.token_means), np.asarray(dense.token_means))
    np.testing.assert_array_equal(sparse.peaks, dense.peaks)
    for name in sparse.statistics.column_names:
        ours, theirs = (found.statistics[name].to_numpy(zero_copy_only=False) for found in both)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6, err_msg=name)


def test_rows_of_a_sparse_array_are_indexed_as_those_of_a_dense_one(both: tuple[Recordings, Recordings]) -> None:
    ours, theirs = (found.activations for found in both)
    slots, rows = both[0].slots.where(Split.SCORE), np.array([3, 14, 3, 0])
    for at in (5, np.int64(2), -1, slice(2, 9), slice(None), rows, (rows[:, None], slots), (4, slots), (slice(None), slots), (rows, 2, 1)):
        np.testing.assert_array_equal(ours[at], np.asarray(theirs)[at])
    mask = np.arange(len(ours)) % 2 == 0
    np.testing.assert_array_equal(ours[mask], np.asarray(theirs)[mask])
    assert ours.shape == theirs.shape and len(ours) == len(theirs)


def test_a_sample_has_the_units_of_the_whole(both: tuple[Recordings, Recordings], tmp_path: Path) -> None:
    whole = both[0]
    excerpts = made_up_excerpts(held_out=whole.about["split_by"] == "document")
    part = run(tmp_path, excerpts, record_params(layers=[1], units=["L1.F7", "L1.F2"]), sparse=True)
    for row, index in enumerate((2, 7)):
        of = whole.row(1, index)
        np.testing.assert_array_equal(part.activations[row], whole.activations[of])
        np.testing.assert_array_equal(part.token_means[row], whole.token_means[of])


def test_reducing_often_going_on_after_a_kill_and_several_passes_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    excerpts, params = made_up_excerpts(held_out=True), record_params()
    run(tmp_path / "whole", excerpts, params, sparse=True)
    monkeypatch.setattr(sparse_module, "PENDING", 50)
    monkeypatch.setattr("neurogloss.recording.run.memory_mb", lambda: 1e-3)
    monkeypatch.setattr("neurogloss.recording.checkpoint.SECONDS", -1.0)  # Kept after every shard.
    run(tmp_path / "often", excerpts, params, sparse=True)
    assert digest(tmp_path / "whole" / "out") == digest(tmp_path / "often" / "out")
    seen = []

    class Killed(Sparse):
        def activations(self, tokens: Tensor, layers: Sequence[int], visit: Any) -> None:
            seen.append(1)
            if len(seen) == 3:
                raise KeyboardInterrupt
            super().activations(tokens, layers, visit)

    scratch = tmp_path / "killed" / "scratch"
    monkeypatch.setattr("neurogloss.recording.layers.BATCH_TOKENS", 400)
    monkeypatch.setattr("neurogloss.recording.stream.BATCH_TOKENS", 400)
    with pytest.raises(KeyboardInterrupt):
        record_excerpts(Killed(), excerpts, params, Scratch(scratch, "key"), UnitKind.LATENTS)  # type: ignore[arg-type]  # it quacks
    found = record_excerpts(Sparse(), excerpts, params, Scratch(scratch, "key"), UnitKind.LATENTS)  # type: ignore[arg-type]  # it quacks
    write_recordings(tmp_path / "killed" / "out", found)
    whole, other = (read_recordings(tmp_path / name / "out") for name in ("whole", "killed"))
    np.testing.assert_array_equal(np.asarray(whole.activations), np.asarray(other.activations))
    np.testing.assert_array_equal(np.asarray(whole.token_means), np.asarray(other.token_means))


def test_parts_of_workers_joined_are_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurogloss.recording.stream.BATCH_TOKENS", 400)
    excerpts, params = made_up_excerpts(), record_params()
    run(tmp_path / "local", excerpts, params, sparse=True)
    monkeypatch.setattr("neurogloss.recording.stream.engine", lambda: "ray")
    monkeypatch.setattr("neurogloss.recording.stream.workers", lambda: 2)
    monkeypatch.setattr(
        "neurogloss.recording.stream.map_shards", lambda function, shared, shards: (function(shared, one) for one in shards)
    )
    run(tmp_path / "ray", excerpts, params, sparse=True)
    assert digest(tmp_path / "local" / "out") == digest(tmp_path / "ray" / "out")


def test_zeros_are_left_out_of_what_is_written_and_nan_is_not() -> None:
    rows = rows_from((3, 2), np.array([0, 0, 2, 2]), np.array([0, 1, 0, 1]), np.array([1, 0, np.nan, 2], np.float16))
    assert rows.numbers.tolist()[0] == 1 and len(rows.numbers) == 3
    np.testing.assert_array_equal(np.asarray(rows), np.array([[1, 0], [0, 0], [np.nan, 2]], np.float16))
