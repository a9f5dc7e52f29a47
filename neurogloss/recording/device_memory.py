"""How a device's memory is dealt: to the excerpts of a batch, and to the layers of a pass."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from neurogloss.recording.layers import BATCH_TOKENS, LayerPlan
from neurogloss.subject.device import free_bytes

logger = logging.getLogger(__name__)

MOST_TOKENS = 1 << 14
"""In a batch: more make no GPU faster."""
MOST_NUMBERS = 1 << 27
"""Activations of the widest layer on a batch, for the same reason."""
HELD = 12
"""Times the widest layer's activations that a batch takes: what the MLP has in use, and the pieces of the recorder."""
BATCH_SHARE = 0.25
"""Of the memory, at most, for a batch."""


@dataclass(frozen=True)
class Room:
    """What a pass may use."""

    excerpts: int
    """In a batch."""
    states: Mapping[torch.device, int]
    """Bytes for states on each device."""


def room(places: Sequence[torch.device], widest: int, length: int, bytes_each: int) -> Room:
    """Deal the memory of these devices; `bytes_each` is that of an activation, `length` the tokens of an excerpt."""
    free = {place: free_bytes(place) for place in dict.fromkeys(places)}
    each = HELD * bytes_each * widest * length
    most = BATCH_TOKENS if places[0].type == "cpu" else MOST_TOKENS
    excerpts = min(most // length, MOST_NUMBERS // (widest * length), int(BATCH_SHARE * min(free.values())) // each)
    excerpts = max(1, excerpts - excerpts % 8 if excerpts >= 8 else excerpts)
    return Room(excerpts, {place: max(0, have - excerpts * each) for place, have in free.items()})


def device_passes(
    plans: Sequence[LayerPlan], places: Sequence[torch.device], bytes_each: int, states: Mapping[torch.device, int]
) -> list[range]:
    """Neighbouring layers that are recorded together: as few passes as the devices allow, a layer that is too large alone.

    The first pass is the one that takes less where they are uneven: it ends early in the model.
    """
    runs: list[range] = []
    stop = len(plans)
    while stop:
        used = dict.fromkeys(states, 0)
        start = stop
        while start:
            place, more = places[start - 1], len(plans[start - 1].neurons) * bytes_each
            if start < stop and used[place] + more > states[place]:
                break
            used[place] += more
            start -= 1
        runs.insert(0, range(start, stop))
        stop = start
    if len(runs) > 1:
        logger.info("recording in %s passes, because the device has room for %s of %s layers at once", len(runs), len(runs[-1]), len(plans))
    return runs
