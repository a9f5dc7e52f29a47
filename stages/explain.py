"""explain: candidate sentences for each unit; nothing of the score split is looked at.

reads   recordings
writes  candidates.parquet
"""

from pathlib import Path

from neurogloss.artifacts.candidates import write_candidates
from neurogloss.artifacts.recordings import read_recordings
from neurogloss.cli.stage import Out, ParamsFile, RecordingsFolder, command, watched_params
from neurogloss.explainers.run import explain


def main(recordings: RecordingsFolder, out: Out, params: ParamsFile = Path("params.yaml")) -> None:
    """Propose sentences for each unit."""
    write_candidates(out, explain(read_recordings(recordings), watched_params(params, "models")))


if __name__ == "__main__":
    command(main)
