"""Typed text through the subject: which explained neurons each token activates, layer by layer."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from neurogloss.errors import UserError
from neurogloss.viewer.encode import packed, spelled
from neurogloss.viewer.model import Model
from neurogloss.viewer.result import ViewedResult
from neurogloss.viewer.strongest import strongest

TOKENS = 512
"""Longest text."""
CHARACTERS = 20_000
KEPT = 3
"""Neurons shown per token and layer."""


def analyse(model: Model, text: str) -> dict[str, Any]:
    """Tokens of a text and, per layer and token, the explained neurons nearest to their own peak.

    A neuron's value is its activation over its peak, times ten: its level, not cut off at 10. Values of nought or less are not listed.
    """
    import torch

    if not text.strip():
        raise UserError("there is no text; type a sentence")
    if len(text) > CHARACTERS:
        raise UserError(f"the text has {len(text)} characters, at most {CHARACTERS} are read; shorten it")
    subject = model.subject
    ids = subject.encode([text])[0]
    limit = min(TOKENS, longest(subject))
    if len(ids) > limit:
        raise UserError(f"the text has {len(ids)} tokens, at most {limit} are read; shorten it")
    if not ids:
        raise UserError("the text has no tokens; type a sentence")
    layers = explained(model.result)
    found: dict[int, dict[str, Any]] = {}

    def visit(layer: int, activations: Any) -> None:
        found[layer] = awake(model.result, layers[layer], activations[0].to_dense().float().cpu().numpy(), subject.indices[layer].start)

    with model.lock:
        subject.activations(torch.tensor([ids]), sorted(layers), visit)
    return {
        "tokens": [spelled(subject.vocabulary[i]) for i in ids],
        "layers": [{"layer": layer, **found[layer]} for layer in sorted(layers)],
        "kept": KEPT,
    }


def longest(subject: Any) -> int:
    """Tokens the subject takes beside a beginning-of-text token."""
    return int(getattr(subject.model.config, "max_position_embeddings", TOKENS + 1)) - 1


def explained(result: ViewedResult) -> dict[int, Int[np.ndarray, " page"]]:
    """Page rows that have an explanation and a peak, per layer; raises UserError where there is none."""
    recordings = result.recordings
    there = np.array([text is not None for text in result.variants[0].texts(result.rows)]) & ~np.isnan(recordings.peaks[result.rows])
    pages = np.flatnonzero(there)
    layers = recordings.layers[result.rows[pages]]
    if not len(pages):
        raise UserError(f"no {recordings.noun.one} of this result has an explanation")
    return {int(layer): pages[layers == layer] for layer in np.unique(layers)}


def awake(
    result: ViewedResult, pages: Int[np.ndarray, " page"], activations: Float[np.ndarray, "token unit"], first: int
) -> dict[str, str]:
    """The strongest of these units for each token: page rows (-1 for none) and levels, (token, kept). `first`: of the first column."""
    rows = result.rows[pages]
    levels = activations[:, result.recordings.indices[rows] - first] / result.recordings.peaks[rows] * 10
    best = strongest(levels.astype(np.float32), KEPT)
    numbers, values = np.full((len(levels), KEPT), -1, np.int32), np.zeros((len(levels), KEPT), np.float32)
    width = best.columns.shape[1]
    numbers[:, :width] = np.where(best.values > 0, pages[best.columns], -1)
    values[:, :width] = np.maximum(best.values, 0)
    return {"pages": packed(numbers), "levels": packed(values)}
