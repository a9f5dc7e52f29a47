"""What every simulator gives back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float16, UInt8

from neurogloss.artifacts.status import CODES, Status

OK = CODES.index(Status.OK)


@dataclass(frozen=True, slots=True)
class SimulatedLevels:
    """Expected levels of some neurons. NaN stands wherever the status is not ok, and nowhere else."""

    levels: Float16[np.ndarray, "neuron place token"]
    """0..10."""
    status: UInt8[np.ndarray, "neuron place"]
    """Position in `neurogloss.artifacts.status.CODES`."""
    written: Bool[np.ndarray, " neuron"]
    """Whether levels are those written because some answers lacked the log-probabilities that were asked for."""

    def __post_init__(self) -> None:
        if self.levels.shape[:2] != self.status.shape:
            raise ValueError(f"levels {self.levels.shape} but status {self.status.shape}")
        blank = np.isnan(self.levels)
        if blank[self.status == OK].any() or not blank[self.status != OK].all():
            raise ValueError("levels must be NaN where the status is not ok, and only there")


Simulate = Callable[[np.ndarray, np.ndarray, Sequence[str | None]], SimulatedLevels]
"""(rows of the recordings, slots, explanations) -> levels and statuses."""


def blank(neurons: int, places: int, tokens: int, status: Status) -> SimulatedLevels:
    """No levels yet, and why; the arrays may be filled in place with `put`."""
    return SimulatedLevels(
        np.full((neurons, places, tokens), np.nan, np.float16),
        np.full((neurons, places), CODES.index(status), np.uint8),
        np.zeros(neurons, bool),
    )


def put(result: SimulatedLevels, neuron: int, place: int, found: np.ndarray | Status) -> None:
    """Fill in the levels (token) of one excerpt, or why there are none. Raises ValueError for levels outside 0..10 or NaN."""
    if isinstance(found, Status):
        if found is Status.OK:
            raise ValueError("status ok needs levels")
        result.levels[neuron, place] = np.nan
        result.status[neuron, place] = CODES.index(found)
        return
    if found.shape != result.levels.shape[2:] or not ((found >= 0) & (found <= 10)).all():
        raise ValueError(
            f"levels of shape {found.shape} and range {found.min()}..{found.max()} where {result.levels.shape[2:]} of 0..10 fit"
        )
    result.levels[neuron, place] = found
    result.status[neuron, place] = OK
