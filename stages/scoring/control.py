"""The control: which other neuron's recording a simulation is scored against."""

import numpy as np
from jaxtyping import Bool, Int

NOBODY = -1


def partners(layers: Int[np.ndarray, " neuron"], use: Bool[np.ndarray, " neuron"], seed: int) -> Int[np.ndarray, " neuron"]:
    """Row of another neuron for each neuron in use, of the same layer where the layer has two; NOBODY for the rest.

    Within a layer a random cycle: nobody is their own partner and everybody is partner once. Neurons alone in their layer
    form a cycle of their own; a last one left over takes any other.

    >>> partners(np.array([0, 0, 1]), np.array([True, True, False]), seed=0).tolist()
    [1, 0, -1]
    """
    rng = np.random.default_rng(seed)
    found = np.full(len(layers), NOBODY, dtype=np.int64)
    alone: list[int] = []
    for layer in np.unique(layers[use]):
        group = rng.permutation(np.flatnonzero(use & (layers == layer)))
        if len(group) > 1:
            found[group] = np.roll(group, 1)
        else:
            alone.append(int(group[0]))
    if len(alone) > 1:
        found[alone] = np.roll(alone, 1)
    elif alone:
        others = np.setdiff1d(np.flatnonzero(use), alone)
        found[alone] = rng.choice(others) if len(others) else NOBODY
    return found


def pairings(neurons: int, excerpts: int, seed: int) -> Int[np.ndarray, "neuron excerpt"]:
    """Which of the partner's score excerpts each of a neuron's own meets: a random order for each neuron.

    Not top with top and random with random: a simulation that knows its own strong excerpts would look good on everybody's.
    """
    return np.argsort(np.random.default_rng([seed, 1]).random((neurons, excerpts)), axis=1)
