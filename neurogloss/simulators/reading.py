"""Read levels out of what a language model says."""

import math

from neurogloss.config.prompts import excerpt
from neurogloss.llm.escape import shown

TOP = 10
"""The highest level of a simulation, whatever the highest level written is."""


def expected_level(alternatives: dict[str, float], highest: int) -> float | None:
    """The expected level 0..10 (Bills et al. 2023): levels among the alternatives, their probabilities made to sum to one.

    `alternatives` are log-probabilities by text. None where no level is among them.

    >>> expected_level({"0": math.log(0.2), "9": math.log(0.2), " 9": math.log(0.5)}, 9)
    5.0
    """
    found = {int(text): value for text, value in alternatives.items() if text in {str(level) for level in range(highest + 1)}}
    best = max(found.values(), default=-math.inf)
    if not math.isfinite(best):
        return None
    weights = {level: math.exp(value - best) for level, value in found.items()}
    mean = sum(level * weight for level, weight in weights.items()) / sum(weights.values())
    return min(scaled(mean, highest), float(TOP))


def scaled(level: float, highest: int) -> float:
    """A level as written, on the scale 0..10."""
    return level * TOP / highest


def capped(levels: list[int], highest: int) -> list[int]:
    """Levels as they are written: one above the highest is the highest."""
    return [min(level, highest) for level in levels]


def example(text: str, highest: int) -> list[tuple[str, int]]:
    """Tokens of an example as they are shown, each with its level as written."""
    found = excerpt(text)
    return list(zip([shown(piece) for piece in found.pieces], capped(found.levels, highest), strict=True))


def one_line(explanation: str) -> str:
    """An explanation as it stands in a prompt: on one line, without a full stop of its own."""
    return " ".join(explanation.split()).rstrip(".")
