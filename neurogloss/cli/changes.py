"""neurogloss changes: what differs from a revision, as Markdown."""

from pathlib import Path
from typing import Annotated

import typer


def changes(
    base: Annotated[str, typer.Argument(help="The git revision or experiment to compare the working tree with.")] = "HEAD",
    log: Annotated[Path | None, typer.Option(help="What `dvc repro` or `dvc exp run` printed: which stages ran.")] = None,
) -> None:
    """Show as Markdown which params and prompts changed since a revision, word by word, and which stage gave something else and why."""
    import yaml

    from neurogloss.cli.changes_view import params_part, stages_part
    from neurogloss.comparison.changes import param_changes, stage_changes
    from neurogloss.comparison.lock import parse_lock, read_lock
    from neurogloss.comparison.revisions import History
    from neurogloss.config.environment import repository
    from neurogloss.errors import UserError

    root = repository().resolve()
    history = History(root)
    commit = history.resolve(base)
    if commit is None:
        raise UserError(f"{base!r} is no revision and no experiment; fetch it or name another")
    before, locked = (history.text(commit, name) for name in ("params.yaml", "dvc.lock"))
    try:
        old = yaml.safe_load(before or b"{}")
        new = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"params.yaml cannot be read here or at {base}: {' '.join(str(error).split())}") from error
    now = read_lock(root / "dvc.lock")
    differing = param_changes(old, new)
    said = log.read_text(encoding="utf-8", errors="replace") if log and log.exists() else ""
    typer.echo(params_part(differing, now, base), nl=False)
    order = list(yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    stages = stage_changes(parse_lock(locked.decode("utf-8", "replace"), base), now, order) if locked else None
    typer.echo(stages_part(stages, base, said), nl=False)
