"""Results in the history: which commits and experiments hold one, and its files out of DVC's cache."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from neurogloss.comparison.lock import Lock
from neurogloss.comparison.result import git
from neurogloss.errors import UserError

EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2}/[0-9a-f]{38})/(.+)")
"""DVC's name of an experiment: the commit it started from, and the name. Its queue and stashes look different."""


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

    @cached_property
    def experiments(self) -> dict[str, list[tuple[str, str]]]:
        """Name -> (commit, baseline) of the experiments that have it."""
        found: dict[str, list[tuple[str, str]]] = {}
        for line in git(self.root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines():
            commit, _, name = line.partition(" ")
            match = EXPERIMENT.fullmatch(name)
            if match:
                found.setdefault(match[2], []).append((commit, match[1].replace("/", "")))
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
        """The commit of an experiment's name or of anything git knows; None for neither. UserError where a name stands for several."""
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
        path = cache_of(self.root) / md5[:2] / md5[2:]
        return path if path.exists() else None

    def lay_out(self, lock: Lock, commit: str | None, folder: Path, paths: tuple[str, ...] | None = None) -> None:
        """Put a result's outputs (or only `paths`) into `folder` as links into the cache; what is nowhere to be had stays away.

        Outputs that DVC does not cache come from the commit; without one, from the working tree where they are unchanged.
        """
        for path, md5 in lock.outs.items():
            if paths is not None and path not in paths:
                continue
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            source, here = self.cached(md5), self.root / path
            if source and md5.endswith(".dir"):
                self.lay_out_folder(source, target)
            elif source:
                target.symlink_to(source)
            elif here.is_file() and file_md5(here) == md5:
                target.symlink_to(here.resolve())
            elif commit and (content := self.text(commit, path)) is not None:
                target.write_bytes(content)
        params = self.text(commit, "params.yaml") if commit else None
        if params is not None:
            (folder / "params.yaml").write_bytes(params)

    def lay_out_folder(self, listing: Path, target: Path) -> None:
        """The files of a folder; nothing at all where one is missing."""
        entries = [(entry["relpath"], self.cached(entry["md5"])) for entry in json.loads(listing.read_text(encoding="utf-8"))]
        if all(source for _, source in entries):
            for name, source in entries:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).symlink_to(str(source))


@lru_cache
def cache_of(root: Path) -> Path:
    """Where DVC keeps files by their MD5; asked once, for DVC takes half a second to start."""
    done = subprocess.run([sys.executable, "-m", "dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"`dvc cache dir` failed in {root}: {' '.join(done.stderr.split())[-200:]}")
    return Path(done.stdout.strip().splitlines()[-1]) / "files" / "md5"


def file_md5(path: Path) -> str:
    """MD5 as DVC counts it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
