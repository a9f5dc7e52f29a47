"""Results in the history: the commits and experiments that hold one, and its files from DVC's cache."""

import atexit
import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from neurogloss.comparison.lock import Lock
from neurogloss.comparison.result import git
from neurogloss.errors import UserError


@dataclass(frozen=True)
class Revision:
    """A commit that changed dvc.lock."""

    commit: str
    time_ms: int
    experiments: tuple[str, ...] = ()
    baseline: str = ""
    """The commit the experiments started from."""


@dataclass(frozen=True)
class History:
    """The git and DVC repository around `root`, the folder that holds dvc.yaml."""

    root: Path

    def __post_init__(self) -> None:
        if not git(self.root, "rev-parse", "--git-dir"):
            raise UserError(f"{self.root} is in no git repository; run `git init`, or name MLflow runs")

    @property
    def dvc(self) -> Any:
        """The repository as DVC's API opens it; UserError where it cannot."""
        return open_dvc(self.root)

    @cached_property
    def experiments(self) -> dict[str, list[tuple[str, str]]]:
        """Name -> (commit, baseline) of the experiments that have it."""
        found: dict[str, list[tuple[str, str]]] = {}
        for baseline, listed in self.dvc.experiments.ls(all_commits=True).items():
            for name, commit in listed:
                found.setdefault(name, []).append((commit, baseline))
        return found

    def revisions(self) -> list[Revision]:
        """Commits of every branch, tag and experiment that changed dvc.lock, the oldest first."""
        named: dict[str, tuple[list[str], str]] = {}
        for name, places in sorted(self.experiments.items()):
            for commit, baseline in places:
                named.setdefault(commit, ([], baseline))[0].append(name)
        walk = ["--branches", "--tags", "--remotes", *(["HEAD"] if git(self.root, "rev-parse", "-q", "--verify", "HEAD") else []), *named]
        lines = git(self.root, "log", "--full-history", "--format=%H %ct", *walk, "--", "dvc.lock").splitlines()
        found = []
        for commit, _, seconds in (line.partition(" ") for line in lines):
            names, baseline = named.get(commit, ([], ""))
            found.append(Revision(commit, int(seconds) * 1000, tuple(names), baseline))
        return sorted(found, key=lambda revision: (revision.time_ms, revision.commit))

    def resolve(self, name: str) -> str | None:
        """The commit of an experiment's name or of anything git knows; None for neither. UserError for an ambiguous name."""
        places = self.experiments.get(name, [])
        if len(places) > 1:
            each = ", ".join(f"{commit[:10]} (on {baseline[:10]})" for commit, baseline in places)
            raise UserError(f"{len(places)} experiments are called {name!r}: {each}; name the commit")
        if places:
            return places[0][0]
        return git(self.root, "rev-parse", "-q", "--verify", "--end-of-options", f"{name}^{{commit}}") or None

    def texts(self, names: list[str]) -> Iterator[bytes | None]:
        """Contents of `COMMIT:./PATH`, in order, None where there is none."""
        asked = "".join(f"{name}\n" for name in names).encode()
        done = subprocess.run(["git", "-C", str(self.root), "cat-file", "--batch"], input=asked, capture_output=True, check=True)
        place = 0
        for _ in names:
            end = done.stdout.index(b"\n", place)
            header = done.stdout[place:end].split(b" ")
            place = end + 1
            if header[-1].isdigit() and len(header) == 3:
                size = int(header[2])
                yield done.stdout[place : place + size]
                place += size + 1
            else:
                yield None

    def text(self, commit: str, path: str) -> bytes | None:
        """A file at a commit."""
        return next(self.texts([f"{commit}:./{path}"]))

    def cached(self, md5: str) -> Path | None:
        """DVC's copy of a file or of a folder's list."""
        path = Path(self.dvc.cache.local.oid_to_path(md5))
        return path if path.exists() else None

    def lay_out(self, lock: Lock, commit: str | None, folder: Path, paths: tuple[str, ...] | None = None) -> None:
        """Put a result's outputs (or only `paths`) into `folder` as links into the cache; what is not available is left out.

        Outputs that DVC does not cache come from the commit; without one, from the working tree where they are unchanged.
        """
        for path, md5 in lock.outs.items():
            if paths is not None and path not in paths:
                continue
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            source, here = self.cached(md5), self.root / path
            if source and md5.endswith(".dir"):
                self.lay_out_folder(md5, target)
            elif source:
                target.symlink_to(source)
            elif here.is_file() and file_md5(here) == md5:
                target.symlink_to(here.resolve())
            elif commit and (content := self.text(commit, path)) is not None:
                target.write_bytes(content)
        for name in ("params.yaml", "dvc.lock") if commit else ():
            if (content := self.text(str(commit), name)) is not None:
                (folder / name).write_bytes(content)

    def lay_out_folder(self, md5: str, target: Path) -> None:
        """Link the files of a folder; none where one is missing."""
        from dvc_data.hashfile import load
        from dvc_data.hashfile.hash_info import HashInfo

        files = load(self.dvc.cache.local, HashInfo("md5", md5)).iteritems()
        entries = [(Path(*names), self.cached(entry.value)) for names, (_, entry) in files]
        if all(source for _, source in entries):
            for name, source in entries:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).symlink_to(str(source))


@lru_cache
def open_dvc(root: Path) -> Any:
    """DVC's `Repo`, opened once: half a second, a third of what a command of DVC takes to start."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        repository = Repo(str(root))
    except DvcException as error:
        raise UserError(f"DVC cannot open {root} ({' '.join(str(error).split())[:200]}); run in the folder that holds dvc.yaml") from error
    atexit.register(repository.close)  # Its pack files, closed by the interpreter's end alone, each print a traceback.
    return repository


def file_md5(path: Path) -> str:
    """MD5 as DVC computes it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
