"""A repository with the real dvc.yaml and params.yaml whose first three stages are toys: git, DVC and tracking for real, in seconds."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Toy:
    """A git and DVC repository."""

    folder: Path

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the repository; its output stands in the error when it fails."""
        done = subprocess.run(command, cwd=self.folder, env=surroundings(**environment), capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{command} gave {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments).stdout

    def dvc(self, *arguments: str, check: bool = True, **environment: str) -> str:
        done = self.run(sys.executable, "-m", "dvc", *arguments, check=check, **environment)
        return done.stdout + done.stderr

    def neurogloss(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "neurogloss.cli.main", *arguments, check=check, **environment)

    def set_params(self, **changes: object) -> None:
        """Change params in place: `explain__method="token_list"`."""
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, value in changes.items():
            *parents, leaf = name.split("__")
            section = params
            for parent in parents:
                section = section[parent]
            section[leaf] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def surroundings(**extra: str) -> dict[str, str]:
    """The environment of commands: this code, nobody's configuration, no telemetry."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_", "GIT_", "PYTEST_"))}
    quiet = {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    names = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org"}
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PYTHONPATH": str(ROOT)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | quiet | names | alone | {"PATH": path} | extra


def make_toy(folder: Path) -> Toy:
    """Make the repository and commit it; nothing has run."""
    toy = Toy(folder)
    folder.mkdir(parents=True)
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    for name, stage in pipeline["stages"].items():
        stage["deps"] = [dep for dep in stage.get("deps", []) if not dep.startswith(("stages/", "neurogloss/"))]
        if name in ("record", "explain", "simulate"):
            stage["cmd"] = f"python -m tests.toy_stages {name}"
    (folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
    for name in ("params.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    toy.run("git", "init", "-q", "-b", "main")
    toy.run("git", "config", "user.email", "t@example.org")
    toy.run("git", "config", "user.name", "t")
    toy.dvc("init", "-q")
    toy.git("add", "-A")
    toy.git("commit", "-qm", "Start")
    return toy


def key_of(toy: Toy) -> str:
    """The key in the receipt."""
    found = re.search(r'"key": "(\w+)"', (toy.folder / ".track" / "receipt.json").read_text(encoding="utf-8"))
    assert found
    return found[1]


def reproduced(folder: Path) -> Toy:
    """The repository after its first `dvc repro`, committed, with its run."""
    toy = make_toy(folder)
    toy.dvc("repro")
    toy.git("add", "-A")
    toy.git("commit", "-qm", "Reproduce")
    return toy
