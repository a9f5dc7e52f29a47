"""record: run the subject over the corpus; keep each neuron's strongest and some random excerpts.

reads   the subject model, the corpus
writes  recordings/ (see neurogloss/artifacts/recordings.py)
"""

from pathlib import Path

from neurogloss.cli.stage import Out, ParamsFile, command
from neurogloss.memory import restart_with_tunables


def main(out: Out, params: ParamsFile = Path("params.yaml")) -> None:
    """Record each neuron's strongest and some random excerpts."""
    from neurogloss.config.params import load_params
    from neurogloss.recording.run import record

    record(load_params(params), out)


if __name__ == "__main__":
    restart_with_tunables()
    command(main)
