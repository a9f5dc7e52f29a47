"""Tables for reading: neurons at or above 0.8, and those that fire strongly but are explained worst, by layer. CSV."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neurogloss.artifacts.files import written

GOOD = 0.8
STRONG_SHARE = 0.25
"""The neurons of a layer with the highest peaks."""
WORST = 20
"""Rows per layer."""
COLUMNS = (
    "name", "layer", "neuron", "top_and_random", "random_only", "ci_low", "ci_high", "token_table", "control", "peak", "firing_share",
    "explanation",
)  # fmt: skip


def well_explained(neurons: pa.Table) -> pa.Table:
    """Neurons with a score of at least 0.8, by layer, the best first."""
    scores = numbers(neurons, "top_and_random")
    found = np.flatnonzero(scores >= GOOD)
    return neurons.take(found[np.lexsort((-scores[found], neurons["layer"].to_numpy()[found]))])


def strong_but_unexplained(neurons: pa.Table) -> pa.Table:
    """Of each layer's quarter with the highest peaks those that score below the layer's median, the worst first; scored neurons only."""
    scores, peaks, layers = numbers(neurons, "top_and_random"), numbers(neurons, "peak"), neurons["layer"].to_numpy()
    kept: list[int] = []
    for layer in np.unique(layers):
        here = np.flatnonzero((layers == layer) & ~np.isnan(scores) & ~np.isnan(peaks))
        strong = here[np.argsort(-peaks[here], kind="stable")][: int(np.ceil(STRONG_SHARE * len(here)))]
        poor = strong[scores[strong] < np.median(scores[here])] if len(here) else strong
        kept += poor[np.argsort(scores[poor], kind="stable")][:WORST].tolist()
    return neurons.take(kept)


def layer_counts(neurons: pa.Table) -> list[dict[str, Any]]:
    """How many neurons of each layer are at or above 0.5, 0.7 and 0.8."""
    scores, layers = numbers(neurons, "top_and_random"), neurons["layer"].to_numpy()
    return [
        {"layer": int(layer), "neurons": int((layers == layer).sum()), "scored": int((~np.isnan(scores[layers == layer])).sum())}
        | {f"at_least_{threshold}": int((scores[layers == layer] >= threshold).sum()) for threshold in (0.5, 0.7, GOOD)}
        for layer in np.unique(layers)
    ]


def numbers(neurons: pa.Table, column: str) -> np.ndarray:
    """A column as floats, NaN where null."""
    return np.asarray(neurons[column].to_numpy(zero_copy_only=False), dtype=np.float64)


def write_selections(folder: Path, neurons: pa.Table) -> None:
    """The two selections and the counts."""
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "at_least_0.8.csv", COLUMNS, well_explained(neurons).select(COLUMNS).to_pylist())
    write_rows(folder / "strong_but_unexplained.csv", COLUMNS, strong_but_unexplained(neurons).select(COLUMNS).to_pylist())
    counts = layer_counts(neurons)
    write_rows(folder / "by_layer.csv", tuple(counts[0]) if counts else ("layer",), counts)


def write_rows(path: Path, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Write CSV; None is an empty cell."""
    with written(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
