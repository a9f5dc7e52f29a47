"""Damaged artifacts, caches and settings of the machine say which file it is and what to do."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurogloss.artifacts.candidates import Candidate, Candidates, read_candidates, write_candidates
from neurogloss.artifacts.explanations import read_explanations
from neurogloss.artifacts.recordings import Recordings, read_recordings, write_recordings
from neurogloss.artifacts.simulations import read_simulations, write_simulations
from neurogloss.artifacts.status import Status
from neurogloss.config import environment
from neurogloss.errors import UserError
from neurogloss.llm.cache import Cache, CachedReply
from neurogloss.llm.request import Reply
from tests.simulated import simulated


@pytest.fixture(scope="module")
def written(recordings: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write_recordings(folder / "recordings", recordings)
    write_simulations(folder / "simulations", simulated(recordings, lambda true: true))
    return folder


HEADERS = [b"", b"{", b"[1]", b"7", b"\xff", b"[" * 100_000]


@pytest.mark.parametrize("content", [*HEADERS, b'{"schema": "neurogloss.recordings", "version": VERSION}'])
def test_damaged_headers_of_recordings_are_one_line(content: bytes, written: Path, tmp_path: Path) -> None:
    from neurogloss.artifacts.recordings import VERSION

    shutil.copytree(written / "recordings", tmp_path / "recordings")
    (tmp_path / "recordings" / "recordings.json").write_bytes(content.replace(b"VERSION", str(VERSION).encode()))
    with pytest.raises(UserError, match=r"recordings(/recordings.json)? is damaged .*; remove it and run `dvc repro`"):
        read_recordings(tmp_path / "recordings")


@pytest.mark.parametrize("name", ["excerpts.npy", "activations.npy", "table_tokens.npy"])
@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:40], lambda content: content[:-3]])
def test_damaged_arrays_are_one_line(name: str, damage: Callable[[bytes], bytes], written: Path, tmp_path: Path) -> None:
    shutil.copytree(written / "recordings", tmp_path / "recordings")
    file = tmp_path / "recordings" / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=name):
        read_recordings(tmp_path / "recordings")


@pytest.mark.parametrize("content", HEADERS)
def test_damaged_simulations_are_one_line(content: bytes, written: Path, tmp_path: Path) -> None:
    shutil.copytree(written / "simulations", tmp_path / "simulations")
    (tmp_path / "simulations" / "simulations.json").write_bytes(content)
    with pytest.raises(UserError, match=r"simulations.json is damaged"):
        read_simulations(tmp_path / "simulations")


def test_a_status_that_nobody_knows_is_one_line(tmp_path: Path) -> None:
    from neurogloss.artifacts import candidates

    row = (Candidate("x", Status.OK),)
    write_candidates(tmp_path / "c.parquet", Candidates(np.array([0]), np.array([0]), [row]))
    content = (tmp_path / "c.parquet").read_bytes()
    assert read_candidates(tmp_path / "c.parquet").rows == [row]
    (tmp_path / "c.parquet").write_bytes(content[: len(content) // 2])
    for reader in (read_candidates, read_explanations):
        with pytest.raises(UserError, match="c.parquet is not a readable Parquet file"):
            reader(tmp_path / "c.parquet")
    assert candidates.VERSION


@pytest.mark.parametrize("reply", ["{", "[]", '{"text": "x"}', '{"text": "x", "finish_reason": "stop", "tokens": [7]}', "[" * 100_000])
def test_a_damaged_reply_is_dropped_and_asked_again(reply: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(tmp_path / "llm.sqlite")
    good = CachedReply("gpt", Reply("fruit"), 0.0, 0.0)
    cache.keep("a" * 64, good)
    cache.keep("b" * 64, good)
    cache.change("UPDATE replies SET reply = ? WHERE key = ?", [reply, "a" * 64])
    assert dict(cache.rows()) == {"b" * 64: good} == cache.find(["a" * 64, "b" * 64])
    assert f"dropped a damaged reply of gpt from {tmp_path / 'llm.sqlite'}" in caplog.text
    assert cache.keep("a" * 64, good)
    cache.close()


def test_the_cache_is_the_same_from_a_folder_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").touch()
    (tmp_path / "data" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "data" / "deep")
    assert environment.repository() == tmp_path
    (tmp_path / ".dvc" / "config").unlink()
    assert environment.repository() == tmp_path / "data" / "deep"


def test_a_user_without_a_home_has_a_cache_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NEUROGLOSS_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    assert environment.cache_folder().name.startswith("neurogloss-")
