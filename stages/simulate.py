"""simulate: predict a level for every token of the calibrate and score excerpts, from the explanation alone.

reads   recordings, explanations
writes  simulations
"""

from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from stages.artifacts.explanations import Explanations, read_explanations
from stages.artifacts.recordings import Recordings, Split, read_recordings
from stages.artifacts.simulations import Simulations, write_simulations
from stages.artifacts.status import CODES, Status, too_many
from stages.command import Out, ParamsFile, command
from stages.errors import UserError
from stages.params import load_params
from stages.simulators.run import Simulate, open_simulator


def main(
    recordings: Annotated[Path, typer.Option(help="What record wrote.")],
    explanations: Annotated[Path, typer.Option(help="What explain wrote.")],
    out: Out,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Predict each neuron's levels from its sentence."""
    settings = load_params(params)
    recorded, explained = read_recordings(recordings), read_explanations(explanations)
    with open_simulator(recorded, settings, stage="simulate") as simulator:
        simulations = simulate(recorded, explained, settings.simulate.method, simulator)
    check_failures(simulations, settings.simulate.max_failed_share)
    write_simulations(out, simulations)


def simulate(recordings: Recordings, explanations: Explanations, method: str, simulator: Simulate) -> Simulations:
    """Levels for the calibrate and score excerpts of every neuron. A neuron without an explanation keeps the explanation's status."""
    if not (np.array_equal(recordings.layers, explanations.layers) and np.array_equal(recordings.indices, explanations.indices)):
        raise UserError("recordings and explanations are of different neurons; run `dvc repro`")
    slots = np.sort(recordings.slots.where(Split.CALIBRATE, Split.SCORE))
    rows = np.arange(len(recordings))
    found = simulator(rows, slots, explanations.texts)
    for row, status in enumerate(explanations.statuses):
        if status is not Status.OK:
            found.status[row] = CODES.index(status)
    return Simulations(method, recordings.layers, recordings.indices, slots, found.levels, found.status)


def check_failures(simulations: Simulations, allowed: float) -> None:
    """Stop where more simulations failed than the params allow; what no explanation was found for does not count here."""
    excused = [CODES.index(status) for status in (Status.SILENT, Status.NO_EXPLANATION)]
    tried = simulations.status[~np.isin(simulations.status, excused)]
    failed: Counter[Status] = Counter(CODES[code] for code in tried if CODES[code] is not Status.OK)
    if message := too_many(failed, tried.size, "simulations", "simulate", allowed):
        raise UserError(message)


if __name__ == "__main__":
    command(main)
