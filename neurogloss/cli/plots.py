"""neurogloss plots: DVC's plots as files that open anywhere, without a network (DVC's own page fetches its code from one)."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def plots(
    out: Annotated[Path, typer.Argument(help="Folder for the pictures.")],
    revisions: Annotated[
        list[str] | None, typer.Argument(help="Commits or experiments to draw beside the workspace, or beside each other.")
    ] = None,
    scale: Annotated[float, typer.Option(help="Pixels per point of the PNG.", min=0.5, max=4)] = 2.0,
) -> None:
    """Draw the plots of dvc.yaml as PNG and SVG: the workspace, one revision against it, or several against each other."""
    from neurogloss.artifacts.files import written

    for name, spec in specifications(revisions or []).items():
        png, svg = draw(spec, scale)
        with written(out / f"{name}.png") as temporary:
            temporary.write_bytes(png)
        with written(out / f"{name}.svg") as temporary:
            temporary.write_text(svg, encoding="utf-8")
        typer.echo(f"{out / name}.png  {out / name}.svg")


def specifications(revisions: list[str]) -> dict[str, dict[str, Any]]:
    """Name and Vega-Lite specification of each plot, as DVC fills it in; UserError where it cannot."""
    from neurogloss.errors import UserError

    command = [sys.executable, "-m", "dvc", "plots", *(["diff", *revisions] if revisions else ["show"]), "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", env=os.environ | {"DVC_NO_ANALYTICS": "1"}, check=False
    )
    if done.returncode or not done.stdout.strip():
        reason = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), "ERROR: it printed nothing")
        raise UserError(f"dvc plots failed: {reason.removeprefix('ERROR: ')}; run in the repository, after `dvc repro`")
    found = json.loads(done.stdout)
    if found.get("errors"):
        problems = "; ".join(f"{problem['source'] or problem['name']} at {problem['rev']}: {problem['msg']}" for problem in found["errors"])
        raise UserError(f"dvc plots cannot draw everything ({problems}); run `dvc repro`, or name revisions that hold the files")
    if not found.get("data"):
        raise UserError("dvc found no plots here; run in the repository, after `dvc repro`")
    return {
        re.sub(r"[^\w.-]+", "_", name): shown[0]["content"] for name, shown in found["data"].items() if shown and shown[0]["type"] == "vega"
    }


def draw(specification: dict[str, Any], scale: float) -> tuple[bytes, str]:
    """PNG and SVG of a Vega-Lite specification."""
    import vl_convert

    text = json.dumps(specification)
    return vl_convert.vegalite_to_png(text, scale=scale), vl_convert.vegalite_to_svg(text)
