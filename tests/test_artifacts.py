"""Artifacts: what is written is read back equal, equal values are equal bytes, other schemas are refused."""

import hashlib
import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.explanations import Explanation, explanations, read_explanations, write_explanations
from neurogloss.artifacts.files import open_array, write_array
from neurogloss.artifacts.recordings import Kind, Recordings, Split, assign_splits, read_recordings, write_recordings
from neurogloss.artifacts.simulations import Borrowed, Simulations, read_simulations, write_simulations
from neurogloss.artifacts.status import Status
from neurogloss.errors import UserError


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_recordings_are_read_back_equal_and_equal_recordings_are_equal_bytes(recordings: Recordings, tmp_path: Path) -> None:
    write_recordings(tmp_path / "a", recordings)
    write_recordings(tmp_path / "b", recordings)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    back = read_recordings(tmp_path / "a")
    for key in ("layers", "indices", "peaks", "corpus", "excerpts", "activations", "table_tokens", "table_counts", "token_means"):
        np.testing.assert_array_equal(getattr(back, key), getattr(recordings, key), key)
    assert back.slots == recordings.slots
    assert back.vocabulary == recordings.vocabulary


def test_no_slot_is_in_two_splits_and_the_surplus_is_fit() -> None:
    slots = assign_splits(top=50, random=75, per_split=5)
    for split in Split:
        if split is not Split.FIT:
            assert len(slots.where(split, kind=Kind.TOP)) == 5
    assert len(slots.where(Split.EXPLAIN, kind=Kind.RANDOM)) == 0
    assert list(slots.where(Split.EXPLAIN)) == [0, 4, 8, 12, 16]
    assert len(slots.where(Split.FIT)) == 30 + 60
    assert sorted(np.concatenate([slots.where(s) for s in Split])) == list(range(125))


def test_explanations_are_read_back_equal(tmp_path: Path) -> None:
    rows = [
        Explanation(
            0, 3, Candidate("words\tand 😀", Status.OK, 0.5), (Candidate("words\tand 😀", Status.OK, 0.5), Candidate(None, Status.REFUSED))
        ),
        Explanation(1, 0, Candidate(None, Status.SILENT)),
    ]
    write_explanations(tmp_path / "e.parquet", explanations(rows))
    assert read_explanations(tmp_path / "e.parquet").rows == rows


def test_a_failed_candidate_cannot_carry_a_text() -> None:
    with pytest.raises(ValueError, match="if and only if"):
        Candidate("text", Status.REFUSED)


def test_simulations_are_read_back_equal(tmp_path: Path) -> None:
    simulations = Simulations(
        "vocabulary",
        np.array([0, 1], np.int32),
        np.array([5, 2], np.int32),
        np.array([1, 4]),
        np.ones((2, 2, 3), np.float16),
        np.zeros((2, 2), np.uint8),
        Borrowed(
            np.array([1], np.int32),
            np.array([[0, -1]], np.int32),
            np.array([4]),
            np.ones((1, 2, 1, 3), np.float16),
            np.zeros((1, 2, 1), np.uint8),
        ),
    )
    write_simulations(tmp_path / "s", simulations)
    write_simulations(tmp_path / "t", simulations)
    assert digest(tmp_path / "s") == digest(tmp_path / "t")
    back = read_simulations(tmp_path / "s")
    assert back.method == "vocabulary"
    for key in ("layers", "indices", "slots", "levels", "status"):
        np.testing.assert_array_equal(getattr(back, key), getattr(simulations, key))
    for key in ("rows", "lenders", "slots", "levels", "status"):
        np.testing.assert_array_equal(getattr(back.borrowed, key), getattr(simulations.borrowed, key))
        assert getattr(back.borrowed, key).dtype == getattr(simulations.borrowed, key).dtype


def test_another_schema_or_version_is_refused_with_what_to_do(recordings: Recordings, tmp_path: Path) -> None:
    write_recordings(tmp_path / "a", recordings)
    header = tmp_path / "a" / "recordings.json"
    header.write_text(header.read_text(encoding="utf-8").replace('"version": 3', '"version": 99'), encoding="utf-8")
    with pytest.raises(UserError, match="version 99, expected neurogloss.recordings version 3; run `dvc repro`"):
        read_recordings(tmp_path / "a")


def test_an_array_cut_short_is_an_error_not_a_smaller_result(recordings: Recordings, tmp_path: Path) -> None:
    write_recordings(tmp_path / "a", recordings)
    array = tmp_path / "a" / "activations.npy"
    array.write_bytes(array.read_bytes()[:-100])
    with pytest.raises(UserError, match="cut short"):
        read_recordings(tmp_path / "a")


@pytest.mark.parametrize("part", ["excerpts", "activations", "token_means", "table_counts"])
def test_an_array_of_another_run_is_an_error_not_a_smaller_result(recordings: Recordings, tmp_path: Path, part: str) -> None:
    write_recordings(tmp_path / "a", recordings)
    write_array(tmp_path / "a" / f"{part}.npy", getattr(recordings, part)[:-1])
    with pytest.raises(UserError, match=f"{part}.npy is .*, expected .*: it is of another run; remove .* and run `dvc repro`"):
        read_recordings(tmp_path / "a")


def test_a_full_disk_is_an_error_and_leaves_what_was_there(recordings: Recordings, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of file sizes exist on POSIX only")
    write_recordings(tmp_path / "a", recordings)
    before = digest(tmp_path / "a")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, limits[1]))
    try:
        with pytest.raises(UserError, match="cannot write .*; free or change the disk"):
            write_recordings(tmp_path / "a", recordings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert digest(tmp_path / "a") == before
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is resident")
def test_copying_an_array_on_disk_leaves_nothing_of_it_in_memory(tmp_path: Path) -> None:
    def mapped() -> int:
        return int(re.findall(r"RssFile:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))[0])

    np.save(tmp_path / "a.npy", np.arange(8_000_000, dtype=np.float32).reshape(-1, 100))
    array, before = open_array(tmp_path / "a.npy"), mapped()
    write_array(tmp_path / "b.npy", array)
    assert mapped() - before < 8_000  # Of 32,000.
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_an_array_is_written_as_numpy_writes_it(tmp_path: Path) -> None:
    for number, array in enumerate((np.arange(12, dtype=np.int32).reshape(3, 4), np.zeros((0, 5), np.float16), np.ones(9000)[::2])):
        write_array(tmp_path / f"{number}.npy", array)
        np.save(tmp_path / "numpy.npy", array)
        assert (tmp_path / f"{number}.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
