"""simulate: predict a level for every token of the calibrate and score excerpts, from the explanation alone.

reads   recordings, explanations.parquet
writes  simulations/
"""

from pathlib import Path

from neurogloss.artifacts.explanations import read_explanations
from neurogloss.artifacts.recordings import read_recordings
from neurogloss.artifacts.simulations import write_simulations
from neurogloss.cli.stage import ExplanationsFile, Out, ParamsFile, RecordingsFolder, command, watched_params
from neurogloss.simulators.run import simulate


def main(recordings: RecordingsFolder, explanations: ExplanationsFile, out: Out, params: ParamsFile = Path("params.yaml")) -> None:
    """Predict each unit's levels from its sentence."""
    write_simulations(out, simulate(read_recordings(recordings), read_explanations(explanations), watched_params(params, "models")))


if __name__ == "__main__":
    command(main)
