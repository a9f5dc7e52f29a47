"""score: compare each simulation with its recording.

reads   recordings (the calibrate and score splits), explanations.parquet, simulations
writes  scores.parquet, metrics/{score.json,details.json,histogram.csv,by_layer.csv,quantiles.csv,examples.csv}
"""

from pathlib import Path
from typing import Annotated

import typer

from neurogloss.artifacts.explanations import read_explanations
from neurogloss.artifacts.recordings import read_recordings
from neurogloss.artifacts.scores import write_scores
from neurogloss.artifacts.simulations import read_simulations
from neurogloss.cli.stage import ExplanationsFile, Out, ParamsFile, RecordingsFolder, SimulationsFolder, command, watched_params
from neurogloss.scorers.run import score, write_metrics


def main(
    recordings: RecordingsFolder,
    explanations: ExplanationsFile,
    simulations: SimulationsFolder,
    out: Out,
    metrics: Annotated[Path, typer.Option(help="Folder for the numbers and curves to commit.")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Score each explanation on excerpts its explainer never saw."""
    settings = watched_params(params, "models")
    recorded, explained = read_recordings(recordings), read_explanations(explanations)
    simulated = read_simulations(simulations)
    scores = score(recorded, explained, simulated, settings)
    write_scores(out, scores)
    write_metrics(metrics, scores, recorded, explained, simulated, settings.score)


if __name__ == "__main__":
    command(main)
