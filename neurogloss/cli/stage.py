"""How a stage becomes a command: shared options, errors as one line, an end when the parent ends."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from neurogloss.config.params import Params, load_params
from neurogloss.errors import UserError
from neurogloss.parallel import die_with_parent

Out = Annotated[Path, typer.Option(help="What this stage writes.")]
RecordingsFolder = Annotated[Path, typer.Option(help="What record wrote.")]
ExplanationsFile = Annotated[Path, typer.Option(help="What refine wrote.")]
SimulationsFolder = Annotated[Path, typer.Option(help="What simulate wrote.")]
ParamsFile = Annotated[Path, typer.Option("--params", help="The params file.")]


def watched_params(path: Path, *kinds: Literal["subject", "corpus", "sae", "units", "models"]) -> Params:
    """Read params.yaml; UserError where a source of these kinds is a path that DVC does not watch, because its changes would be missed."""
    params = load_params(path)
    named = (params.explain.model, params.simulate.model, params.vocabulary.model, params.score.model)
    models = [(f"models.{name}.name", params.models[name]) for name in dict.fromkeys(named) if name in params.models]
    coders = [] if params.subject.sae is None else params.subject.sae.sources
    units = [("record.units", params.record.units), ("subject.directions", params.subject.directions)]
    sources = {
        "subject": [("subject.model", params.subject.model)],
        "corpus": [] if params.corpus.format == "huggingface" else [("corpus.source", params.corpus.source)],
        "sae": [("subject.sae.source", source) for source in coders],
        "units": [(key, file) for key, file in units if isinstance(file, str)],
        "models": [(key, model.name) for key, model in models if model.provider == "local"],
    }
    for kind in kinds:
        watched = Path(getattr(params.watch, kind)).resolve()
        for key, source in sources[kind]:
            local = Path(source).expanduser()
            if local.exists() and not local.resolve().is_relative_to(watched):
                raise UserError(f"{key} is the path {source}, whose changes DVC does not see; set watch.{kind} to {local}, too")
    return params


def command(main: Callable[..., Any]) -> None:
    """Run one stage: logging to stderr, a UserError as one message and exit code 2; it ends with its parent."""
    die_with_parent()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    run(app)


def run(app: typer.Typer) -> None:
    """Run an application; a UserError is one message on stderr and exit code 2, anything else keeps its traceback."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "httpx2", "openai", "urllib3", "filelock", "alembic", "mlflow", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", "10")  # Seconds between two states of a progress bar in a log.
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None
