"""Record, explain and simulate in small: they write what the real ones write, of made-up neurons, in half a second each.

A better prompt or more phrases make a better simulation, so that variants differ.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from neurogloss.artifacts.candidates import Candidate, Candidates, write_candidates
from neurogloss.artifacts.explanations import read_explanations
from neurogloss.artifacts.recordings import Split, read_recordings, write_recordings
from neurogloss.artifacts.simulations import Simulations, write_simulations
from neurogloss.artifacts.status import CODES, Status
from neurogloss.measures.levels import levels
from tests.simulated import lent
from tests.tiny import random_recordings

DATA = Path("data")


def record(params: dict[str, Any]) -> None:
    write_recordings(DATA / "recordings", random_recordings(layers=3, per_layer=8, seed=params["record"]["seed"]))


def explain(params: dict[str, Any]) -> None:
    chosen = params["explain"]
    recordings = read_recordings(DATA / "recordings")
    rows = []
    for row, peak in enumerate(recordings.peaks):
        best = [recordings.text(int(t)).strip() for t in np.argsort(-np.nan_to_num(recordings.token_means[row], nan=-9))]
        text = f"{chosen['method']}: " + ", ".join(best[: chosen["concepts"]["phrases"]])
        rows.append((Candidate(None, Status.SILENT) if np.isnan(peak) else Candidate(text, Status.OK),))
    write_candidates(DATA / "candidates.parquet", Candidates(recordings.layers, recordings.indices, rows))


def simulate(params: dict[str, Any]) -> None:
    recordings, found = read_recordings(DATA / "recordings"), read_explanations(DATA / "explanations.parquet")
    slots = recordings.slots.where(Split.CALIBRATE, Split.SCORE)
    real = levels(np.nan_to_num(np.asarray(recordings.activations)[:, slots]), recordings.peaks).astype(np.float64)
    better = 2 * (params["vocabulary"]["prompt"] == "examples")
    named = np.array([0 if text is None else text.count(",") + 1 + better for text in found.texts])
    rng = np.random.default_rng(7)
    guess = np.clip(real / (1 + 3 / np.maximum(named, 1))[:, None, None] + rng.gamma(1, 2, real.shape), 0, 10)
    status = np.full(real.shape[:2], CODES.index(Status.OK), np.uint8)
    status[named == 0] = CODES.index(Status.NO_EXPLANATION)
    guess[named == 0] = np.nan
    borrowed = lent(recordings, lambda rows, lenders: rng.gamma(1, 2, (len(rows), len(recordings.slots.where(Split.SCORE)), 8)), draws=2)
    write_simulations(
        DATA / "simulations",
        Simulations("vocabulary", recordings.layers, recordings.indices, slots, guess.astype(np.float16), status, borrowed),
    )


if __name__ == "__main__":
    stage = {"record": record, "explain": explain, "simulate": simulate}[sys.argv[1]]
    stage(yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8")))
