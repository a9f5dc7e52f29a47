"""Ablation of the default's neurons: what it takes, its numbers, and its figure against correlation.

    python -m benchmarks.ablation                          # the subject runs: minutes of all cores
    python -m benchmarks.ablation --scores FILE.parquet    # of a run that has been made: no times

Reads data/ as `dvc repro` left it. Writes metrics/pictures/ablation.png; the last line is JSON, kept in benchmarks/results/ablation.json.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neurogloss.artifacts.explanations import read_explanations
from neurogloss.artifacts.recordings import Split, read_recordings
from neurogloss.artifacts.scores import read_scores
from neurogloss.artifacts.simulations import read_simulations
from neurogloss.config.environment import threads
from neurogloss.config.params import load_params
from neurogloss.measures.correlation import correlation as agreement
from neurogloss.scorers.run import score
from neurogloss.scorers.summary import summary
from neurogloss.tracking.ablation_figure import write_ablation_figure

ROOT = Path(__file__).parents[1]
DATA, PICTURE = ROOT / "data", ROOT / "metrics" / "pictures" / "ablation.png"


def run() -> tuple[pa.Table, dict[str, Any]]:
    """Scores with ablation, and how long they took."""
    params = load_params(ROOT / "params.yaml")
    params = params.model_copy(update={"score": params.score.model_copy(update={"scorers": ["ablation"]})})
    recordings, explanations = read_recordings(DATA / "recordings"), read_explanations(DATA / "explanations.parquet")
    simulations = read_simulations(DATA / "simulations")
    began, cpu = time.monotonic(), time.process_time()
    scores = score(recordings, explanations, simulations, params)
    took = {"seconds": round(time.monotonic() - began, 1), "cpu_s": round(time.process_time() - cpu, 1), "threads": threads()}
    return scores, took | {"excerpts": len(recordings.slots.where(Split.SCORE))}


def figures(scores: pa.Table) -> dict[str, Any]:
    """Means with intervals, and by tenths of correlation: the shape of the paper's figure."""
    about = summary(scores, 0)["ablation"]
    correlation, ablation = (np.asarray(scores[name].to_numpy(zero_copy_only=False), np.float64) for name in ("top_and_random", "ablation"))
    both = np.isfinite(correlation) & np.isfinite(ablation)
    tenths = {}
    for low in range(-2, 10):
        here = both & (correlation >= low / 10) & (correlation < low / 10 + 0.1)
        if here.any():
            tenths[f"{low / 10:.1f}"] = {
                "units": int(here.sum()),
                "mean": round(float(ablation[here].mean()), 4),
                "median": round(float(np.median(ablation[here])), 4),
            }
    ranks = [np.argsort(np.argsort(values[both])).astype(float) for values in (correlation, ablation)]
    return {
        "units": int(both.sum()),
        "median": round(float(np.median(ablation[both])), 4),
        "above_zero_share": round(float((ablation[both] > 0).mean()), 4),
        "rank_correlation": round(float(agreement(*ranks) or 0), 4),
        "summary": about,
        "by_correlation": tenths,
    }


def main() -> None:
    """Measure or read, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=Path)
    given = parser.parse_args().scores
    scores, took = (read_scores(given), {}) if given else run()
    write_ablation_figure(scores, PICTURE)
    sys.stderr.write(f"{PICTURE.relative_to(ROOT)} drawn\n")
    print(json.dumps(took | figures(scores)))


if __name__ == "__main__":
    main()
