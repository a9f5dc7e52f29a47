"""neurogloss questions: what the current params ask and nobody answered yet, for somebody else to answer."""

from pathlib import Path
from typing import Annotated

import typer

from neurogloss.cli.changes_of_params import Changes, ParamsFile, RecordingsFolder, open_variant


def questions(
    out: Annotated[Path, typer.Argument(help="JSONL to write, in the form of OpenAI's batch input.")],
    params: ParamsFile = Path("params.yaml"),
    recordings: RecordingsFolder = Path("data/recordings"),
    changes: Changes = None,
) -> None:
    """Write the questions of the first stage that lacks answers. `neurogloss cache import` reads the answers; then run this again."""
    import shlex

    from neurogloss.exchange.questions import STAGES, next_round, write_questions

    with open_variant(recordings, params, changes) as (recorded, settings, cache):
        found = next_round(recorded, settings, cache)
        count = write_questions(out, found, cache)
    if found is None:
        run = " ".join(["dvc exp run", *(f"-S {shlex.quote(change)}" for change in changes)]) if changes else "dvc repro"
        typer.echo(f"every question is answered, so {out} is empty; `{run}` needs no endpoint")
        return
    after = ", ".join(STAGES[STAGES.index(found.stage) + 1 :])
    typer.echo(
        f"{count} questions of {found.step} for {found.model} ({found.params.name}) in {out}; {len(found.answered)} are answered already"
        + (f"; {after}: once these are answered" if after else "")
    )
