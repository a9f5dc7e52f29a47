"""Curves to commit: how scores, baseline and control are distributed, over neurons and over layers. Small CSV files."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neurogloss.artifacts.files import written
from neurogloss.artifacts.units import UnitKind, unit_name
from neurogloss.scorers.intervals import mean_interval
from neurogloss.scorers.summary import numbers, rounded

SERIES = {"score": "top_and_random", "baseline": "token_table", "control": "control"}
"""Column of the curves -> column of the scores."""

QUOTED = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)
"""Shares of the scored neurons that score higher than the one quoted."""
QUOTED_SCORES = {"score": "top_and_random", "random_only": "random_only", "baseline": "token_table", "control": "control"}
"""Column of the examples -> column of the scores."""
EXAMPLE = ("neuron", "explanation", *QUOTED_SCORES)
Row = dict[str, float | int | str | None]


def histogram(scores: pa.Table, bins: int) -> list[Row]:
    """Share and number of neurons in each of `bins` equal bins over [-1, 1]; `bin` is the middle. The last bin holds 1."""
    edges = np.linspace(-1.0, 1.0, bins + 1)
    rows: list[Row] = [{"bin": rounded(middle)} for middle in (edges[:-1] + edges[1:]) / 2]
    counts = {name: np.histogram(present(scores, column), edges)[0] for name, column in SERIES.items()}
    for place, row in enumerate(rows):
        row.update({name: rounded(count[place] / max(1, count.sum())) for name, count in counts.items()})
        row.update({f"{name}_neurons": int(count[place]) for name, count in counts.items()})
    return rows


def examples(scores: pa.Table, texts: Sequence[str | None], kind: UnitKind = UnitKind.NEURONS) -> list[Row]:
    """Units at fixed percentiles of the score, best first, with their explanations: a fair sample to quote. `texts` go with the rows."""
    found = np.array([np.nan if score is None else score for score in scores["top_and_random"].to_pylist()], dtype=float)
    order = np.flatnonzero(~np.isnan(found))[np.argsort(-found[~np.isnan(found)], kind="stable")]
    places = dict.fromkeys(round(share * (len(order) - 1)) for share in QUOTED) if len(order) else {}
    rows = [scores.slice(int(order[place]), 1).to_pylist()[0] | {"explanation": texts[int(order[place])]} for place in places]
    return [
        {"neuron": unit_name(row["layer"], row["neuron"], kind), "explanation": row["explanation"]}
        | {key: None if row[column] is None else rounded(row[column]) for key, column in QUOTED_SCORES.items()}
        for row in rows
    ]


def quantile_table(scores: pa.Table) -> list[Row]:
    """The percentiles 0 to 100 over the neurons that have a value; None where there are none."""
    columns = {name: present(scores, column) for name, column in SERIES.items()}
    return [
        {"percentile": percentile, **{name: rounded(np.percentile(v, percentile)) if len(v) else None for name, v in columns.items()}}
        for percentile in range(101)
    ]


def by_layer(scores: pa.Table) -> list[Row]:
    """One row per layer: neurons, how many have a score, their mean with an interval over the layer's neurons, and the references."""
    layers = scores["layer"].to_numpy()
    values = np.stack([numbers(scores, column) for column in SERIES.values()], axis=1)
    rows: list[Row] = []
    for layer in np.unique(layers):
        here = values[layers == layer]
        interval = mean_interval(here[:, 0])
        means = [rounded(column[~np.isnan(column)].mean()) if (~np.isnan(column)).any() else None for column in here.T]
        rows.append(
            {
                "layer": int(layer),
                "neurons": len(here),
                "scored": int((~np.isnan(here[:, 0])).sum()),
                "mean": means[0],
                "ci_low": rounded(interval.low) if interval else None,
                "ci_high": rounded(interval.high) if interval else None,
                "baseline": means[1],
                "control": means[2],
            }
        )
    return rows


def present(scores: pa.Table, column: str) -> np.ndarray:
    """The numbers of a column, without those that are missing."""
    values = numbers(scores, column)
    return np.asarray(values[~np.isnan(values)])


def write_headline(path: Path, values: dict[str, Any]) -> None:
    """Write JSON in the order given, which is that of DVC's columns."""
    with written(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Row], columns: Sequence[str] = ()) -> None:
    """Write rows of equal keys, which `columns` names where there may be no row; an empty cell is None."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with written(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
