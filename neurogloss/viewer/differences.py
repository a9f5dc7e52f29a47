"""How the variants of a result differ from its first one, unit by unit on the same excerpts: what `neurogloss compare` says."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from neurogloss.comparison.paired import Paired, paired
from neurogloss.scorers.intervals import LEVEL
from neurogloss.viewer.result import ViewedResult

SCORE = "top_and_random"
LISTED = 12


def differences(result: ViewedResult) -> list[dict[str, Any]]:
    """Each further variant against the first: the verdict over all recorded units, by layer, and the pages that changed most."""
    others = result.variants[1:]
    level = 1 - (1 - LEVEL) / max(1, len(others))
    reference = result.variants[0].scores[SCORE].astype(np.float64)
    layers = result.recordings.layers
    found = []
    for variant in others:
        scores = variant.scores[SCORE].astype(np.float64)
        by_layer = [(int(layer), one(reference, scores, layers == layer, LEVEL)) for layer in np.unique(layers)]
        found.append(
            {
                **numbers(paired(reference, scores, level, SCORE)),
                "level": level,
                "layers": [{"layer": layer, **numbers(part)} for layer, part in by_layer],
                **changed_most(result, scores - reference),
            }
        )
    return found


def one(
    reference: Float[np.ndarray, " unit"], variant: Float[np.ndarray, " unit"], chosen: Bool[np.ndarray, " unit"], level: float
) -> Paired:
    """The same over some of the units."""
    return paired(reference[chosen], variant[chosen], level, SCORE)


def numbers(found: Paired) -> dict[str, Any]:
    """What a page shows of a paired difference."""
    return {
        "units": found.neurons,
        "reference": rounded(found.reference),
        "variant": rounded(found.variant),
        "difference": rounded(found.difference),
        "low": rounded(found.interval.low) if found.interval else None,
        "high": rounded(found.interval.high) if found.interval else None,
        "noise": None if found.within_noise is None else bool(found.within_noise),
        "won": found.won,
        "lost": found.lost,
    }


def rounded(value: float | None) -> float | None:
    """Five decimals."""
    return None if value is None else round(float(value), 5)


def changed_most(result: ViewedResult, differences: Float[np.ndarray, " unit"]) -> dict[str, list[int]]:
    """Pages of the units that gained and that lost most, the most first."""
    there = differences[result.rows]
    order: Int[np.ndarray, " page"] = np.argsort(-there, kind="stable")
    order = order[np.isfinite(there[order])]
    return {
        "gained_pages": [int(page) for page in order[:LISTED] if there[page] > 0],
        "lost_pages": [int(page) for page in order[::-1][:LISTED] if there[page] < 0],
    }
