"""track: mirror the result into MLflow, exactly one run per distinct result.

reads   dvc.lock, recordings, explanations.parquet, simulations, scores.parquet, metrics
writes  receipt.json (the result's key), and a run unless there is one
"""

import atexit
import gc
from pathlib import Path
from typing import Annotated

import typer

from neurogloss.artifacts.files import write_json
from neurogloss.cli.stage import ExplanationsFile, Out, ParamsFile, RecordingsFolder, SimulationsFolder, command
from neurogloss.comparison.lock import read_finished_lock
from neurogloss.comparison.result import Paths
from neurogloss.config.params import load_params
from neurogloss.tracking.run import track
from neurogloss.tracking.store import locate_store


def main(
    recordings: RecordingsFolder,
    explanations: ExplanationsFile,
    simulations: SimulationsFolder,
    scores: Annotated[Path, typer.Option(help="What score wrote.")],
    metrics: Annotated[Path, typer.Option(help="Where score wrote its metrics.")],
    out: Out,
    lock: Annotated[Path, typer.Option(help="What DVC wrote; it names the result.")] = Path("dvc.lock"),
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Make the result's run in MLflow, unless it is there."""
    paths = Paths(str(recordings), str(explanations), str(simulations), str(scores), str(metrics))
    state = read_finished_lock(lock)
    track(state, paths, locate_store(), load_params(params).track)
    write_json(out, {"key": state.key})


if __name__ == "__main__":
    # A short process that imports thousands of modules: collecting garbage, also at its end, took two of six seconds and freed nothing.
    gc.disable()
    atexit.register(gc.freeze)
    command(main)
