"""Sources become local paths: fetched once, checked, nothing executed; what goes wrong is told in one line."""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from neurogloss.artifacts.files import written
from neurogloss.errors import UserError
from neurogloss.subject import sources as assets
from neurogloss.subject.sources import resolve

CONTENT = b"two words\n" * 1000
SHA = hashlib.sha256(CONTENT).hexdigest()
SOURCE = "pypi:wordlist==1.0/wordlist/data/words.txt"


def make_wheel(folder: Path, tag: str = "py3-none-any") -> Path:
    """A wheel whose import would fail loudly."""
    folder.mkdir(exist_ok=True)
    path = folder / f"wordlist-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("wordlist/__init__.py", "raise SystemExit('executed')")
        wheel.writestr("wordlist/data/words.txt", CONTENT)
        wheel.writestr("wordlist-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: wordlist\nVersion: 1.0\n")
        wheel.writestr("wordlist-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr("wordlist-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and nowhere else; an empty cache folder."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "PIP_EXTRA_INDEX_URL": "",
        "NEUROGLOSS_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def quick(index: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same without a pip process, which takes a second."""

    def copied(wanted: assets.WheelFile, folder: Path, options: list[str]) -> str:
        for wheel in index.glob("*.whl"):
            shutil.copy(wheel, folder)
        return "ERROR: No matching distribution found for wordlist==1.0"

    monkeypatch.setattr(assets, "pip_download", copied)
    return index


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The options of every call of pip, which really runs."""
    calls: list[list[str]] = []
    real = assets.pip_download

    def counted(wanted: assets.WheelFile, folder: Path, options: list[str]) -> str:
        calls.append(options)
        return real(wanted, folder, options)

    monkeypatch.setattr(assets, "pip_download", counted)
    return calls


def kept(cache: Path) -> list[Path]:
    return [file for file in cache.rglob("*") if file.is_file() and not file.name.endswith(".lock")]


def test_a_wheel_file_is_fetched_once_and_keeps_its_name(index: Path, downloads: list[list[str]]) -> None:
    make_wheel(index)
    path = resolve(SOURCE, sha256=SHA)
    assert (path.name, path.read_bytes()) == ("words.txt", CONTENT)
    (index / "wordlist-1.0-py3-none-any.whl").unlink()
    assert resolve(SOURCE, sha256=SHA) == path
    assert downloads == [[]]


def test_a_wheel_for_another_python_and_system_will_do(index: Path, downloads: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "OTHER_PYTHONS", ("3.10",))
    make_wheel(index, "cp310-cp310-win_amd64" if sys.platform != "win32" else "cp310-cp310-manylinux_2_28_x86_64")
    assert resolve(SOURCE).read_bytes() == CONTENT
    assert len(downloads) == 2


def test_a_wrong_sha256_is_reported_and_the_file_removed(quick: Path, tmp_path: Path) -> None:
    make_wheel(quick)
    with pytest.raises(UserError, match=f"has sha256 {SHA}, expected 00"):
        resolve(SOURCE, sha256="00" * 32)
    assert kept(tmp_path / "cache") == []
    assert resolve(SOURCE, sha256=SHA).read_bytes() == CONTENT


def test_a_missing_member_is_an_error(quick: Path) -> None:
    make_wheel(quick)
    with pytest.raises(UserError, match=r"wordlist==1\.0 holds no file wordlist/nothing\.txt"):
        resolve("pypi:wordlist==1.0/wordlist/nothing.txt")


def test_a_missing_release_is_an_error(quick: Path) -> None:
    with pytest.raises(UserError, match=r"no wheel of wordlist==1\.0 could be fetched"):
        resolve(SOURCE)


def test_a_download_cut_short_leaves_nothing_and_the_next_one_succeeds(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_wheel(quick)
    cut = tmp_path / "cut.whl"
    cut.write_bytes(whole.read_bytes()[:-200])
    with monkeypatch.context() as patched:
        patched.setattr(assets, "download", lambda wanted, folder: cut)
        with pytest.raises(UserError, match="is cut short"):
            resolve(SOURCE)
    assert kept(tmp_path / "cache") == []
    assert resolve(SOURCE).read_bytes() == CONTENT


def test_a_copy_that_is_interrupted_leaves_nothing(quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(quick)

    def interrupted(source: object, target: object, length: int) -> None:
        target.write(CONTENT[:100])  # type: ignore[attr-defined]  # a file
        raise KeyboardInterrupt

    monkeypatch.setattr(assets.shutil, "copyfileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        resolve(SOURCE)
    assert kept(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [("/usr/bin/python: No module named pip", "-m ensurepip"), ("WARNING: Retrying ... NewConnectionError(...)", "does not answer")],
)
def test_no_pip_and_no_index_are_told_apart(index: Path, monkeypatch: pytest.MonkeyPatch, said: str, expected: str) -> None:
    monkeypatch.setattr(assets.subprocess, "run", lambda *args, **kwargs: subprocess.CompletedProcess(args, 1, "", said))
    with pytest.raises(UserError, match=expected):
        resolve(SOURCE)


@pytest.mark.parametrize(
    "source", ["pypi:a==1/../../etc/passwd", "pypi:a/b.txt", "pypi:a==1", "pypi:a==1//etc/passwd", "pypi:--index-url=x==1/y"]
)
def test_a_source_that_is_no_file_of_a_package_is_refused(source: str) -> None:
    with pytest.raises(UserError, match="is not a package file; expected pypi:PACKAGE==VERSION"):
        resolve(source)


def test_a_path_is_itself_and_its_sha256_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes(CONTENT)
    assert resolve(str(file), sha256=SHA) == file
    with pytest.raises(UserError, match="expected 11"):
        resolve(str(file), sha256="11" * 32)
    assert file.exists()
    with pytest.raises(UserError, match="is a folder"):
        resolve(str(tmp_path), sha256=SHA)


def test_what_is_neither_path_nor_id_is_refused() -> None:
    with pytest.raises(UserError, match="does not exist; expected a path, a Hugging Face id or pypi:"):
        resolve("./no/such/thing")


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hub's own cache in a folder of its own, and a hub that gives a model with two files; names of the files it was asked for."""
    import huggingface_hub
    from huggingface_hub import constants

    asked: list[str] = []
    local = huggingface_hub.snapshot_download

    def snapshot(name: str, revision: str | None, allow_patterns: list[str], local_files_only: bool) -> str:
        if local_files_only:
            return str(local(name, revision=revision, allow_patterns=allow_patterns, local_files_only=True))
        asked.append(name)
        assert not any("bin" in pattern or pattern == "*.py" for pattern in allow_patterns)
        return str(cached(tmp_path / "hub", name, revision or "main", "config.json", "model.safetensors"))

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    return asked


def cached(folder: Path, name: str, revision: str, *files: str) -> Path:
    """A model as the hub's library lays it out in its cache."""
    model = folder / f"models--{name.replace('/', '--')}"
    snapshot = model / "snapshots" / COMMIT
    snapshot.mkdir(parents=True, exist_ok=True)
    (model / "refs").mkdir(exist_ok=True)
    (model / "refs" / revision).write_text(COMMIT, encoding="utf-8")
    for file in files:
        (snapshot / file).write_text("{}", encoding="utf-8")
    return snapshot


def test_a_hub_model_is_fetched_once_and_then_found_offline(hub: list[str]) -> None:
    assert resolve("owner/name", "v1") == resolve("owner/name", "v1")
    assert hub == ["owner/name"]
    assert resolve("owner/name", "v2").name == COMMIT
    assert hub == ["owner/name", "owner/name"]


def test_what_another_program_has_cached_is_not_fetched_again(hub: list[str], tmp_path: Path) -> None:
    folder = cached(tmp_path / "hub", "owner/name", "main", "config.json", "model.safetensors", "tiny.gguf")
    assert resolve("owner/name") == folder
    assert resolve("owner/name/tiny.gguf") == folder / "tiny.gguf"
    assert hub == []


def test_a_model_cached_without_its_weights_is_fetched(hub: list[str], tmp_path: Path) -> None:
    cached(tmp_path / "hub", "owner/name", "main", "config.json")
    assert (resolve("owner/name") / "model.safetensors").exists()
    assert hub == ["owner/name"]


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\x00", b"[" * 100_000, b"../../..\n"])
def test_a_damaged_note_in_the_hubs_cache_is_fetched_again_or_one_line(damage: bytes, hub: list[str], tmp_path: Path) -> None:
    cached(tmp_path / "hub", "owner/name", "main", "config.json", "model.safetensors")
    (tmp_path / "hub" / "models--owner--name" / "refs" / "main").write_bytes(damage)
    try:
        assert (resolve("owner/name") / "model.safetensors").exists() and hub == ["owner/name"]
    except UserError as error:
        assert str(error).startswith("owner/name is neither a path nor a Hugging Face model that can be fetched (")
        assert "\n" not in str(error)


def test_a_model_the_hub_does_not_give_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROGLOSS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with pytest.raises(UserError, match="owner/no-such-model is neither a path nor a Hugging Face model that can be fetched"):
        resolve("owner/no-such-model")


def test_a_cache_folder_that_cannot_be_written_is_an_error(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("NEUROGLOSS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="name another folder in NEUROGLOSS_CACHE"):
        resolve(SOURCE)


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"cannot write .*kept: No space left on device; free or change the disk"),
        written(tmp_path / "kept") as temporary,
    ):
        temporary.write_bytes(CONTENT)
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
