"""Read levels out of what a language model says."""

import math

import numpy as np

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
    found = {int(text): value for text, value in alternatives.items() if text in levels_up_to(highest)}
    best = max(found.values(), default=-math.inf)
    if not math.isfinite(best):
        return None
    weights = {level: math.exp(value - best) for level, value in found.items()}
    mean = sum(level * weight for level, weight in weights.items()) / sum(weights.values())
    return min(scaled(mean, highest), float(TOP))


def possible_error(alternatives: dict[str, float], least: float, highest: int) -> float:
    """How far the expected level can be off because some levels are not listed, none of them likelier than `least` (a log-probability).

    >>> possible_error({"0": math.log(0.9), "9": math.log(0.1)}, math.log(0.02), 9) < 1, possible_error({"0": 0.0, "1": -1.0}, -9.0, 1)
    (True, 0.0)
    """
    shares = {int(text): math.exp(value) for text, value in alternatives.items() if text in levels_up_to(highest)}
    missing = np.array([level for level in range(highest + 1) if level not in shares])
    if not missing.size:
        return 0.0
    mass, total = sum(shares.values()), sum(level * share for level, share in shares.items())
    masses, most = mass + math.exp(least) * np.arange(1, missing.size + 1), math.exp(least)
    # All that is missing stands at the top, or all at the bottom, as far in as moves the mean furthest.
    above = ((total + most * np.cumsum(missing[::-1])) / masses).max() - total / mass
    below = total / mass - ((total + most * np.cumsum(missing)) / masses).min()
    return scaled(max(float(above), float(below), 0.0), highest)


def levels_up_to(highest: int) -> list[str]:
    """Levels as they are written."""
    return [str(level) for level in range(highest + 1)]


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
