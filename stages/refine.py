"""refine: choose among candidates on the select split; a single one passes through.

reads   recordings, candidates.parquet
writes  explanations.parquet
"""

from pathlib import Path
from typing import Annotated

import typer

from neurogloss.artifacts.candidates import read_candidates
from neurogloss.artifacts.explanations import write_explanations
from neurogloss.artifacts.recordings import read_recordings
from neurogloss.cli.stage import Out, ParamsFile, RecordingsFolder, command, watched_params
from neurogloss.refining.refine import refine


def main(
    recordings: RecordingsFolder,
    candidates: Annotated[Path, typer.Option(help="What explain wrote.")],
    out: Out,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Choose one sentence for each neuron."""
    write_explanations(out, refine(read_recordings(recordings), read_candidates(candidates), watched_params(params, "models")))


if __name__ == "__main__":
    command(main)
