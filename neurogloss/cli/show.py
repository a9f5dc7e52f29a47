"""neurogloss show: one unit on a terminal."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path, typer.Option(help="Folder that holds what the stages wrote.")]


def show(
    neuron: Annotated[str, typer.Argument(help="Layer and index, such as L5.N131, L5.F8021 or L5.H3.")],
    splits: Annotated[str, typer.Option(help="Which excerpts: score, explain, calibrate, select, fit, or several with commas.")] = "score",
    data: Data = Path("data"),
    width: Annotated[int | None, typer.Option(help="Columns; default: the terminal's.", min=40)] = None,
) -> None:
    """Print a unit's statistics, explanation and scores, and its excerpts with recorded and simulated levels side by side."""
    from neurogloss.artifacts.recordings import Split
    from neurogloss.artifacts.results import read_results, row_of
    from neurogloss.cli.neuron_view import neuron_page
    from neurogloss.cli.text import console
    from neurogloss.errors import UserError

    wanted = [part.strip() for part in splits.split(",") if part.strip()]
    unknown = [part for part in wanted if part not in set(Split)]
    if unknown or not wanted:
        raise UserError(f"--splits {splits!r} names no split, expected some of {', '.join(Split)}")
    results = read_results(data)
    row = row_of(results.recordings, neuron)
    terminal = console(width)
    for part in neuron_page(results, row, [Split(part) for part in wanted], terminal):
        terminal.print(part)
