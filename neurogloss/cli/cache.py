"""neurogloss cache: what the replies of language models have cost and spared, and how to hand them on."""

from pathlib import Path
from typing import Annotated

import typer

cache = typer.Typer(help="The kept replies of language models: size, hits, money saved; export and import.", no_args_is_help=False)


@cache.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
    """Show size, entries, hits and money saved, by model."""
    if context.invoked_subcommand is not None:
        return
    from neurogloss.cli.holdings import holdings_table
    from neurogloss.cli.text import console
    from neurogloss.llm.cache import Cache, cache_file

    path = cache_file()
    if not path.exists():
        typer.echo(f"{path} is not there yet: no language model was asked")
        return
    kept = Cache(path)
    try:
        for part in holdings_table(kept):
            console().print(part)
    finally:
        kept.close()


@cache.command("export")
def export(file: Annotated[Path, typer.Argument(help="JSONL to write.")]) -> None:
    """Write every reply to a file, without keys or prompts."""
    from neurogloss.llm.cache import Cache, cache_file
    from neurogloss.llm.exchange import export_replies

    kept = Cache(cache_file())
    try:
        typer.echo(f"{export_replies(kept, file)} replies in {file}")
    finally:
        kept.close()


@cache.command("import")
def import_(file: Annotated[Path, typer.Argument(help="What `cache export` wrote.")]) -> None:
    """Add the replies of a file; what is known stays."""
    from neurogloss.llm.cache import Cache, cache_file
    from neurogloss.llm.exchange import import_replies

    kept = Cache(cache_file())
    try:
        done = import_replies(kept, file)
    finally:
        kept.close()
    typer.echo(f"{done.added} replies added, {done.known} known already")
