"""A small result with hostile tokens on disk, for the commands."""

import shutil
from dataclasses import replace
from pathlib import Path

from neurogloss.artifacts.recordings import Recordings
from tests.scorers.test_score import run_stage
from tests.tiny import random_recordings

HOSTILE = {
    3: b" [bold red]x[/]",
    5: b"\x1b[31m",
    7: b"\n",
    9: b"\xe2\x80",
    11: "\u202e".encode(),
    13: " 😀".encode(),
    15: b"\t",
    17: b":smile:",
}


def hostile_recordings(layers: int = 2) -> Recordings:
    """Made-up recordings whose vocabulary holds everything that breaks terminals."""
    recordings = random_recordings(layers=layers, per_layer=6, tokens=12, per_split=4, excerpts=80)
    vocabulary = [HOSTILE.get(token, piece) for token, piece in enumerate(recordings.vocabulary)]
    return replace(recordings, vocabulary=vocabulary, about={"subject": "folder/tiny\x1b[31m"})


def result(folder: Path) -> Path:
    """A folder with data/ and metrics/ as after `dvc repro`."""
    run_stage(folder / "data", hostile_recordings())
    shutil.move(folder / "data" / "metrics", folder / "metrics")
    return folder
