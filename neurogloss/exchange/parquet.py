"""Parquet for `datasets.load_dataset`: neurons, their candidate explanations, and their excerpts with both sides' levels.

neurons      one row per neuron: statistics, explanation, scores
candidates   one row per answer of an explainer
excerpts     one row per neuron and excerpt: tokens, activations, levels, simulated levels
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.results import Results
from neurogloss.artifacts.simulations import OK, SenseSimulations
from neurogloss.artifacts.status import CODES
from neurogloss.artifacts.units import unit_name
from neurogloss.measures.levels import levels

NEURONS_AT_ONCE = 128
"""Neurons in memory and in a row group, at most: 128 x 35 excerpts x 64 tokens are about 30 MB."""

EXCERPTS = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("layer", pa.int32()),
        pa.field("neuron", pa.int32()),
        pa.field("rank", pa.int32()),  # 0 is the strongest; random excerpts follow the top ones
        pa.field("kind", pa.string()),
        pa.field("split", pa.string()),
        pa.field("document", pa.string()),
        pa.field("start", pa.int32()),
        pa.field("tokens", pa.list_(pa.string())),
        pa.field("token_ids", pa.list_(pa.int32())),
        pa.field("activations", pa.list_(pa.float32())),
        pa.field("levels", pa.list_(pa.int8())),
        pa.field("simulated", pa.list_(pa.float32())),  # None where the excerpt was not simulated
        pa.field("simulation_status", pa.string()),  # None where nothing was asked
    ]
)
SENSE = pa.field("sense", pa.int32())
"""Of the excerpts where explanations have several senses: the one that predicts most of the strongest token, from 0."""
CANDIDATES = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("layer", pa.int32()),
        pa.field("neuron", pa.int32()),
        pa.field("text", pa.string()),
        pa.field("status", pa.string()),
        pa.field("select_score", pa.float64()),
    ]
)


def neurons_table(results: Results) -> pa.Table:
    """Statistics, explanation and scores side by side."""
    layers, indices = results.recordings.layers.tolist(), results.recordings.indices.tolist()
    columns: dict[str, Any] = {"name": [results.recordings.name(row) for row in range(len(results))]}
    columns |= {"layer": pa.array(layers, pa.int32()), "neuron": pa.array(indices, pa.int32())}
    columns |= {"explanation": pa.array(results.explanations.texts, pa.string())}
    columns |= {"explanation_status": [str(status) for status in results.explanations.statuses]}
    columns |= written(results.recordings)
    columns |= {key: results.scores[key] for key in results.scores.column_names if key not in ("layer", "neuron")}
    statistics = results.recordings.statistics
    return pa.table(columns | {key: statistics[key] for key in statistics.column_names if key not in ("layer", "neuron")})


def written(recordings: Recordings) -> dict[str, pa.Array]:
    """Tokens that each unit promotes and suppresses, the strongest first, with their logits; null where that is not known."""
    found: dict[str, pa.Array] = {}
    for side, name in enumerate(("promoted", "suppressed")):
        texts = [recordings.promoted_texts(row, side) or None for row in range(len(recordings))]
        logits = [
            None
            if some is None or recordings.promoted is None
            else recordings.promoted.logits[row, side, : len(some)].astype(float).tolist()
            for row, some in enumerate(texts)
        ]
        found[name], found[f"{name}_logits"] = pa.array(texts, pa.list_(pa.string())), pa.array(logits, pa.list_(pa.float32()))
    return found


def candidates_table(results: Results) -> pa.Table:
    """Every answer, in the order in which it was asked for; the kept one where no others are known (`datasets` refuses empty sets)."""
    rows = [
        {
            "name": unit_name(row.layer, row.neuron, results.recordings.kind),
            "layer": row.layer,
            "neuron": row.neuron,
            "text": candidate.text,
            "status": str(candidate.status),
            "select_score": candidate.select_score,
        }
        for row in results.explanations.rows
        for candidate in row.candidates or (row.kept,)
    ]
    return pa.Table.from_pylist(rows, schema=CANDIDATES)


def excerpt_tables(results: Results, slots: Int[np.ndarray, " slot"], at_once: int) -> Iterator[pa.Table]:
    """The excerpts in these slots, `at_once` neurons at a time."""
    recordings, simulations = results.recordings, results.simulations
    texts = pa.array([recordings.text(token) for token in range(len(recordings.vocabulary))])
    places = np.array([np.flatnonzero(simulations.slots == slot)[0] if slot in simulations.slots else -1 for slot in slots])
    for start in range(0, len(results), at_once):
        rows = np.arange(start, min(start + at_once, len(results)))
        excerpts = recordings.excerpts[rows[:, None], slots]
        activations = np.asarray(recordings.activations[rows[:, None], slots])
        tokens = pa.array(recordings.corpus[excerpts].ravel(), pa.int32())
        flat = excerpts.ravel()
        status = np.where(places >= 0, simulations.status[rows[:, None], np.maximum(places, 0)], len(CODES))
        simulated = np.asarray(simulations.levels[rows[:, None], np.maximum(places, 0)], dtype=np.float32)
        columns = {
            "name": pa.array([recordings.name(int(r)) for r in rows for _ in slots]),
            "layer": np.repeat(recordings.layers[rows], len(slots)),
            "neuron": np.repeat(recordings.indices[rows], len(slots)),
            "rank": pa.array(np.tile(slots, len(rows)), pa.int32()),
            "kind": [str(recordings.slots.kinds[slot]) for _ in rows for slot in slots],
            "split": [str(recordings.slots.splits[slot]) for _ in rows for slot in slots],
            "document": recordings.documents["document"].take(flat),
            "start": recordings.documents["start"].take(flat),
            "tokens": lists(texts.take(tokens), activations.shape),
            "token_ids": lists(tokens, activations.shape),
            "activations": lists(pa.array(activations.ravel().astype(np.float32)), activations.shape),
            "levels": lists(pa.array(levels(activations, recordings.peaks[rows]).ravel(), pa.int8()), activations.shape),
            "simulated": lists(pa.array(simulated.ravel()), activations.shape, missing=(status != OK).ravel()),
            "simulation_status": pa.array(
                [None if code == len(CODES) else str(CODES[code]) for code in status.ravel().tolist()], pa.string()
            ),
        }
        if simulations.senses is None:
            yield pa.table(columns, schema=EXCERPTS)
        else:
            sense = [sense_of(simulations.senses, *at) for at in zip(*numbered(rows, places, activations), strict=True)]
            yield pa.table(columns | {"sense": pa.array(sense, SENSE.type)}, schema=EXCERPTS.append(SENSE))


def numbered(rows: Int[np.ndarray, " neuron"], places: Int[np.ndarray, " slot"], activations: np.ndarray) -> tuple[list[int], ...]:
    """Of each excerpt the neuron's row, the place in the simulations, and the strongest token."""
    strongest = activations.argmax(axis=2)
    return rows.repeat(len(places)).tolist(), np.tile(places, len(rows)).tolist(), strongest.ravel().tolist()


def sense_of(senses: SenseSimulations, row: int, place: int, token: int) -> int | None:
    """Which sense an excerpt is; None where it was not simulated."""
    return None if place < 0 else senses.strongest(row, place, token)


def lists(values: pa.Array, shape: tuple[int, ...], missing: np.ndarray | None = None) -> pa.Array:
    """Flat values as lists of the length of the last axis; None where `missing`."""
    offsets = pa.array(np.arange(0, int(np.prod(shape)) + 1, shape[-1]), pa.int32())
    mask = None if missing is None else pa.array(missing)
    return pa.ListArray.from_arrays(offsets, values, mask=mask)


def write_shards(folder: Path, what: str, tables: Iterator[pa.Table], rows_per_shard: int, done: Callable[[int], object]) -> list[Path]:
    """Write tables as numbered shards of at least `rows_per_shard` rows each (but the last); at least one shard."""
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[Path] = []
    writer, rows = None, 0
    for table in tables:
        if writer is None or rows >= rows_per_shard:
            if writer is not None:
                writer.close()
            shards.append(folder / f"{what}-{len(shards):05d}.parquet")
            writer, rows = pq.ParquetWriter(shards[-1], table.schema, compression="zstd"), 0
        writer.write_table(table)
        rows += len(table)
        done(len(table))
    if writer is not None:
        writer.close()
    return shards
