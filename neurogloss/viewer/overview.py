"""Rows of the overview's table, in shards that stay small."""

from typing import Any

import numpy as np
from jaxtyping import Int

from neurogloss.viewer.encode import packed
from neurogloss.viewer.result import ViewedResult
from neurogloss.viewer.summary import peak_deviations

SHARD = 2_000_000
"""Bytes of text in a shard; encoding can double them."""
ROW = 60
"""Bytes of a row beside its text."""


def shards(result: ViewedResult) -> list[int]:
    """Page rows at which a shard begins, and the end."""
    column = result.variants[0].explanations["text"]
    lengths = np.full(len(result.rows), ROW)
    for variant in result.variants:
        sizes = np.append([len(t or "") for t in variant.explanations["text"].to_pylist()], 0) if len(column) else np.zeros(1, np.int64)
        lengths += sizes[variant.explanation_rows[result.rows]]
    filled = np.cumsum(lengths)
    starts = [0]
    while starts[-1] < len(lengths):
        before = filled[starts[-1] - 1] if starts[-1] else 0
        starts.append(max(starts[-1] + 1, int(np.searchsorted(filled, before + SHARD))))
    return starts


def rows(result: ViewedResult, start: int, stop: int) -> dict[str, Any]:
    """Columns of the page rows from `start` to `stop`."""
    at = result.rows[start:stop]
    recordings = result.recordings
    firing = recordings.statistics["firing_share"].to_numpy()
    return {
        "start": start,
        "layers": packed(recordings.layers[at].astype(np.int32)),
        "neurons": packed(recordings.indices[at].astype(np.int32)),
        "firing": packed(firing[at].astype(np.float32)),
        "peaks": packed(peak_deviations(result)[at].astype(np.float32)),
        "variants": [variant_columns(result, v, at) for v in range(len(result.variants))],
    }


def variant_columns(result: ViewedResult, variant: int, at: Int[np.ndarray, " row"]) -> dict[str, Any]:
    """What the table shows of one variant."""
    chosen = result.variants[variant]
    columns = {
        name: packed(chosen.scores[name][at].astype(np.float32)) for name in ("top_and_random", "random_only", "token_table", "control")
    }
    return {"texts": chosen.texts(at), "statuses": packed(chosen.statuses[at].astype(np.int8)), "scores": columns}
