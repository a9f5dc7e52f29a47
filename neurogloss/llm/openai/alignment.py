"""Whether log-probabilities of a prompt stand at their own tokens.

llama-cpp-python 0.3 gives each token those of the token after it where the model has no BOS: they look sound and mean nothing.
A prompt is made of text that a model expects, so its tokens are likely where they stand, and not one place earlier or later.
"""

from collections.abc import Mapping, Sequence

CLEAR = 1.0
"""Natural logs a token by which another place must fit better than their own."""
LEAST = 8
"""Tokens that must be there to judge by."""

Positions = Sequence[tuple[str, Mapping[str, float]]]
"""Token and log-probabilities by text, for each token of a prompt; empty where the endpoint gives none."""


class MisalignedError(Exception):
    """Log-probabilities that stand at other tokens than their own."""


def check_alignment(positions: Positions) -> None:
    """Raise MisalignedError where the tokens are clearly likelier by what stands one place before or behind them.

    >>> ahead = [(token, {after: -0.1, "x": -4.0, token: -9.0}) for token, after in zip("abcdefghijk", "bcdefghijkl")]
    >>> check_alignment(ahead)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    ...
    neurogloss.llm.openai.alignment.MisalignedError: the log-probabilities ...
    """
    own = fit(positions, 0)
    for offset, where in ((-1, "early"), (1, "late")):
        there = fit(positions, offset)
        if own is not None and there is not None and there > own + CLEAR:
            raise MisalignedError(
                f"the log-probabilities that it gives for a prompt stand one token too {where} ({own:.1f} for a token at its own place, "
                f"{there:.1f} there), so no level can be read from them; serve the model with vLLM, or choose another simulate.method"
            )


def fit(positions: Positions, offset: int) -> float | None:
    """Mean log-probability of the tokens by what stands so many places behind them; None for too few.

    What is not listed counts as a little less than the least.
    """
    found = []
    for place in range(1, len(positions) - 1):
        token, listed = positions[place][0], positions[place + offset][1]
        if listed and positions[place][1]:
            found.append(listed.get(token, min(listed.values()) - 1.0))
    return sum(found) / len(found) if len(found) >= LEAST else None
