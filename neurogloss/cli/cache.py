"""neurogloss cache: what the replies of language models have cost and spared, and how to hand them on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neurogloss.exchange.answers import ImportedAnswers

MOST_LINES, MOST_NUMBERS = 20, 10
"""Of a file's faults and of the numbers of questions, that are shown."""

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
def import_(
    file: Annotated[Path, typer.Argument(help="What `cache export` wrote, or answers in the form of OpenAI's batch output.")],
) -> None:
    """Add the replies of a file; what is known stays."""
    from neurogloss.exchange.answers import import_answers
    from neurogloss.llm.cache import Cache, cache_file
    from neurogloss.llm.exchange import import_replies, is_export

    kept = Cache(cache_file())
    try:
        if is_export(file):
            done = import_replies(kept, file)
            typer.echo(f"{done.added} replies added, {done.known} known already")
        else:
            typer.echo("\n".join(report(import_answers(kept, file))))
    finally:
        kept.close()


@cache.command("forget")
def forget(model: Annotated[str, typer.Argument(help="The model's name at its endpoint, as `neurogloss cache` shows it.")]) -> None:
    """Forget what was found out about a model: what it offers and how it wants to be asked. Its replies stay."""
    from neurogloss.errors import UserError
    from neurogloss.llm.cache import Cache, cache_file
    from neurogloss.llm.openai.capabilities import forgotten

    kept = Cache(cache_file())
    try:
        count = forgotten(kept, model)
        known = sorted(name for (name,) in kept.run("SELECT DISTINCT model FROM endpoints"))
    finally:
        kept.close()
    if not count:
        raise UserError(f"nothing was found out about a model {model!r}; known are: {', '.join(known) or 'none'}")
    typer.echo(f"forgot {count} things about {model}; they are found out anew when it is asked")


def report(done: "ImportedAnswers") -> list[str]:
    """What an import of answers did, a line for each thing to look at."""
    from neurogloss.cli.text import visible

    problems = [visible(problem) for problem in done.problems]
    more = [f"and {len(problems) - MOST_LINES} lines more"] if len(problems) > MOST_LINES else []
    left = [f"{len(lines)} questions of {visible(file)} have no answer yet: {listed(lines)}" for file, lines in done.left.items()]
    models = [f"{count} answers are by {visible(model)}, another model than was asked" for model, count in done.other_models.items()]
    counts = f"{done.added} answers added, {done.known} known already, {len(problems)} lines not used"
    return [*problems[:MOST_LINES], *more, *models, *left, counts]


def listed(lines: list[int]) -> str:
    """The first of some lines.

    >>> listed([4, 9]), listed(list(range(1, 30)))
    ('lines 4, 9', 'lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 19 more')
    """
    more = f" and {len(lines) - MOST_NUMBERS} more" if len(lines) > MOST_NUMBERS else ""
    return f"line{'s' * (len(lines) > 1)} {', '.join(map(str, lines[:MOST_NUMBERS]))}{more}"
