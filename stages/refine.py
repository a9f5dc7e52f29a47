"""refine: choose among candidates on the select split, revise what is chosen, and look for its senses; one passes through without these.

reads   recordings, candidates.parquet, with rounds the subject model
writes  explanations.parquet, revisions.parquet, metrics/refine.json
"""

from pathlib import Path
from typing import Annotated

import typer

from neurogloss.artifacts.candidates import read_candidates
from neurogloss.artifacts.explanations import write_explanations
from neurogloss.artifacts.files import write_json
from neurogloss.artifacts.recordings import read_recordings
from neurogloss.artifacts.revisions import write_revisions
from neurogloss.cli.stage import Out, ParamsFile, RecordingsFolder, command, watched_params
from neurogloss.refining.refine import refine_in_rounds
from neurogloss.refining.summary import summary


def main(
    recordings: RecordingsFolder,
    candidates: Annotated[Path, typer.Option(help="What explain wrote.")],
    out: Out,
    revisions: Annotated[Path, typer.Option(help="What each round of revision asked and found.")],
    metrics: Annotated[Path, typer.Option(help="Folder for the numbers to commit.")],
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Choose one sentence for each unit, revise it, and look for its senses."""
    found = refine_in_rounds(read_recordings(recordings), read_candidates(candidates), watched_params(params, "models"))
    write_explanations(out, found.explanations)
    write_revisions(revisions, found.revisions)
    write_json(metrics / "refine.json", summary(found.revisions, list(found.trials.values())))


if __name__ == "__main__":
    command(main)
