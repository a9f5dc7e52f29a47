"""record: run the subject over the corpus; keep each unit's strongest and some random excerpts.

reads   the subject model, the corpus
writes  recordings/ (see neurogloss/artifacts/recordings.py)
"""

from pathlib import Path

from neurogloss.cli.stage import Out, ParamsFile, command, watched_params
from neurogloss.memory import restart_with_tunables


def main(out: Out, params: ParamsFile = Path("params.yaml")) -> None:
    """Record each unit's strongest and some random excerpts."""
    from neurogloss.recording.run import record

    record(watched_params(params, "subject", "corpus", "sae", "units"), out)


if __name__ == "__main__":
    restart_with_tunables()
    command(main)
