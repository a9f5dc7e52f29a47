"""A repository with the real stages, a tiny model, a scripted explainer and a few documents."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]


def write_corpus(folder: Path, documents: int = 12) -> Path:
    """Text files made of the words the tiny tokenizer knows, from a seed."""
    words = [
        "the",
        "cat",
        "sat",
        "on",
        "mat",
        "and",
        "dog",
        "ran",
        "to",
        "river",
        "under",
        "a",
        "bright",
        "sky",
        "while",
        "ten",
        "birds",
        "sang",
        "of",
        "snow",
        "rain",
    ]
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(documents):
        (folder / f"{number:02}.txt").write_text(" ".join(rng.choice(words, 400)), encoding="utf-8")
    return folder


def tiny_params(model: Path, corpus: Path) -> dict[str, Any]:
    """The project's params with a tiny subject and text, and an explainer that always says the same."""
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["subject"] |= {"model": str(model), "sha256": None}
    params["corpus"] |= {"source": str(corpus), "sha256": None, "format": "text"}
    params["watch"] |= {"subject": str(model), "corpus": str(corpus), "models": str(model)}
    params["record"] |= {"neurons": 3, "excerpts": 64, "tokens": 16, "top": 18, "random": 14, "per_split": 4, "table_tokens": 64}
    params["models"]["tiny"] = params["models"]["smollm2"] | {"name": str(model), "sha256": None, "context": 512}
    params["models"]["script"] = params["models"]["smollm2"] | {
        "provider": "scripted",
        "name": "animals and the weather",
        "sha256": None,
        "context": 9999,
    }
    params["vocabulary"] |= {"model": "tiny"}
    params["simulate"] |= {"method": "vocabulary"}
    params["explain"] |= {"method": "pairs", "model": "script"}
    return params


class Repository:
    """A git and DVC repository in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_", "NEUROGLOSS_", "OPENAI_"))},
            "NEUROGLOSS_CACHE": str(folder.parent / "cache"),
            "DVC_NO_ANALYTICS": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "HF_HUB_OFFLINE": "1",
        }

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the repository."""
        done = subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=300)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def dvc(self, *words: str, check: bool = True) -> str:
        """Run DVC; what it said on both streams."""
        done = self.run(sys.executable, "-m", "dvc", *words, check=check)
        return done.stdout + done.stderr

    def write_params(self, params: dict[str, Any]) -> None:
        """Write params.yaml in block style."""
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False, allow_unicode=True), encoding="utf-8")

    def params(self) -> dict[str, Any]:
        """What params.yaml holds."""
        return dict(yaml.safe_load((self.folder / "params.yaml").read_text(encoding="utf-8")))


def make_repository(folder: Path, model: Path) -> Repository:
    """Copy the project's code and pipeline, with params for the tiny model."""
    for name in ("neurogloss", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    repository = Repository(folder)
    repository.write_params(tiny_params(model, write_corpus(folder.parent / "corpus")))
    repository.run("git", "init", "-q")
    repository.run("git", "config", "user.email", "nobody@localhost")
    repository.run("git", "config", "user.name", "nobody")
    repository.dvc("init", "-q")
    repository.run("git", "add", "-A")
    repository.run("git", "commit", "-qm", "start")
    return repository
