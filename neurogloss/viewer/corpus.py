"""Excerpts and vocabulary, in shards."""

from typing import Any

import numpy as np

from neurogloss.artifacts.recordings import Recordings
from neurogloss.viewer.encode import packed, spelled

PIECES = 32768
"""Tokens of the vocabulary in a shard."""


def excerpts_per_shard(recordings: Recordings) -> int:
    """Such that a shard stays under half a megabyte."""
    return int(max(1, 120_000 // max(1, recordings.corpus.shape[1])))


def excerpts(recordings: Recordings, shard: int) -> dict[str, Any]:
    """Token ids of a shard's excerpts and where they come from."""
    size = excerpts_per_shard(recordings)
    part = slice(shard * size, (shard + 1) * size)
    names = recordings.documents["document"][part].to_pylist()
    distinct = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return {
        "tokens": packed(recordings.corpus[part].astype(np.int32)),
        "documents": list(distinct),
        "document": [distinct[name] for name in names],
        "starts": recordings.documents["start"][part].to_pylist(),
    }


def pieces(recordings: Recordings, shard: int) -> list[str]:
    """Texts of a shard's tokens."""
    return [spelled(piece) for piece in recordings.vocabulary[shard * PIECES : (shard + 1) * PIECES]]
