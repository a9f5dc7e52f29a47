"""neurogloss directions: find directions of a layer's neurons that can be explained."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table


def directions(
    out: Annotated[Path, typer.Argument(help="File to write, .npz; name it in subject.directions to run the pipeline on what it holds.")],
    params: Annotated[Path, typer.Option(help="The params file; its section `directions` says what is sought.")] = Path("params.yaml"),
    recordings: Annotated[Path, typer.Option(help="What record wrote: its subject and its excerpts are used.")] = Path("data/recordings"),
    start: Annotated[Path | None, typer.Option(help="A file of directions to start from, instead of random ones.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line instead of a table.")] = False,
    width: Annotated[int | None, typer.Option(help="Columns; default: the terminal's.", min=60)] = None,
) -> None:
    """Explain directions, rotate them towards what the explanation predicts, repeat; score before and after on held-out documents."""
    import json

    from neurogloss.artifacts.recordings import read_recordings
    from neurogloss.cli.text import console
    from neurogloss.config.params import load_params
    from neurogloss.llm.client import open_client
    from neurogloss.refining.find_directions import find, write_found

    found = find(read_recordings(recordings), load_params(params), start, open_client)
    write_found(out, found)
    if as_json:
        typer.echo(json.dumps(found.report))
        return
    console(width).print(table(found.report))


def table(report: dict[str, Any]) -> "Table":
    """A row for each direction."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from neurogloss.cli.text import number, visible

    made = Table(
        Column("direction", no_wrap=True),
        *(Column(name, justify="right", no_wrap=True) for name in ("before", "after", "95 %", "random only")),
        Column("explanation", overflow="fold"),
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for one in report["directions"]:
        before, after = one["before"], one["after"]
        interval = "-" if after["low"] is None else f"{after['low']:.2f} to {after['high']:.2f}"
        values = (number(before["score"]), number(after["score"]), interval, number(after["random_only"]))
        made.add_row(one["name"], *values, visible(after["text"] or "-"))
    return made
