"""The control: which other neurons' recordings a simulation is scored against."""

import numpy as np
from jaxtyping import Bool, Int

NOBODY = -1


def partners(layers: Int[np.ndarray, " neuron"], use: Bool[np.ndarray, " neuron"], count: int, seed: int) -> Int[np.ndarray, "draw neuron"]:
    """Rows of up to `count` other neurons for each neuron in use, of the same layer where the layer has two; NOBODY for the rest.

    The neurons of a layer stand in a random circle, and the first draw is everybody's first neighbour, the second the second one: nobody is
    their own partner, and everybody is partner once in each draw. Neurons alone in their layer form a circle of their own; a last one
    left over takes any other.

    >>> partners(np.array([0, 0, 1]), np.array([True, True, False]), count=2, seed=0).tolist()
    [[1, 0, -1], [-1, -1, -1]]
    """
    rng = np.random.default_rng(seed)
    found = np.full((count, len(layers)), NOBODY, dtype=np.int64)
    alone: list[int] = []
    for layer in np.unique(layers[use]):
        group = rng.permutation(np.flatnonzero(use & (layers == layer)))
        if len(group) > 1:
            seat(found, group)
        else:
            alone.append(int(group[0]))
    if len(alone) > 1:
        seat(found, np.array(alone))
    elif alone:
        others = np.setdiff1d(np.flatnonzero(use), alone)
        found[: len(others), alone[0]] = rng.permutation(others)[:count]
    return found


def seat(found: Int[np.ndarray, "draw neuron"], circle: Int[np.ndarray, " place"]) -> None:
    """Write each one's neighbours into `found`, the nearest first."""
    for draw in range(min(len(found), len(circle) - 1)):
        found[draw, circle] = np.roll(circle, draw + 1)


def pairings(neurons: int, excerpts: int, seed: int) -> Int[np.ndarray, "neuron excerpt"]:
    """Which of a partner's score excerpts each of a neuron's own meets: a random order for each neuron; each further draw turns it by one.

    Not top with top and random with random: a simulation that knows its own strong excerpts would look good on everybody's.
    """
    return np.argsort(np.random.default_rng([seed, 1]).random((neurons, excerpts)), axis=1)
