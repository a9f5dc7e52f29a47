"""Logging a comparison to MLflow: a figure and JSON in the runs of the compared variants."""

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neurogloss.artifacts.files import write_json, written
from neurogloss.comparison.comparison import Comparison, compare_variants
from neurogloss.comparison.result import Paths
from neurogloss.tracking.comparison_figure import write_comparison_figure
from neurogloss.tracking.store import Store, locate_store
from neurogloss.tracking.variants import load_variant, log_files


def compare(names: Sequence[str], score: str = "top_and_random", neurons: int = 5) -> Comparison:
    """Compare results with the first one, unit by unit: `workspace`, experiments of DVC, git revisions, ids or names of MLflow runs.

    `score` is a column of the scores; `neurons` that gained and lost most are named. Raises UserError for an unknown name, and
    for results of different recordings.
    """
    store = locate_store()
    return compare_variants([load_variant(name, store, Paths()) for name in names], score, neurons)


def log_comparison(store: Store | None, comparison: Comparison, value: dict[str, Any], figure: Path | None) -> str:
    """Draw the figure; log it to the runs of the variants and write it to `figure`. Returns one line that says where it is."""
    places = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_comparison_figure(comparison, folder / "comparison.png")
        write_json(folder / "comparison.json", value)
        if figure:
            with written(figure) as temporary:
                shutil.copyfile(folder / "comparison.png", temporary)
            places.append(f"figure: {figure}")
        if store:
            place = f"comparisons/{file_name(comparison.aligned.names)}"
            files = {f"{place}.png": folder / "comparison.png", f"{place}.json": folder / "comparison.json"}
            runs = log_files(store, {variant.key for variant in comparison.variants}, files)
            places.append(
                f"{place}.png in {runs} MLflow run(s)" if runs else "no MLflow run to log the figure to; `neurogloss sync` creates them"
            )
    return "; ".join(places)


def file_name(names: list[str]) -> str:
    """A file name that names the variants.

    >>> file_name(["main", "exp/one two"])
    'main_vs_exp-one-two'
    """
    return "_vs_".join(re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.") for name in names)[:150]
