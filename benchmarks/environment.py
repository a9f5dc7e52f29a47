"""The environment in which dvc.yaml runs a stage, for benchmarks that run its code."""

import os
import shlex
import sys
from pathlib import Path

import yaml


def environment_of(stage: str) -> dict[str, str]:
    """This process's environment with the variables that the stage's command sets."""
    words = shlex.split(yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]["cmd"])
    before = words[: words.index("python")]
    return {**os.environ, **dict(word.split("=", 1) for word in before if "=" in word)}


def run_as(stage: str) -> None:
    """Begin this process anew with the stage's variables, unless it has them: some count only when a process begins."""
    environment = environment_of(stage)
    if environment != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
