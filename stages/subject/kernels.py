"""The loops over activations, compiled: each reads them once where array operations would read them ten times.

They let go of Python's lock, so that workers can run them side by side, and give the same bits on every machine: numbers are added in the
order of the tokens, and nothing is contracted. What is compiled is not kept on disk.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt16, UInt32
from numba import njit, vectorize

Function = TypeVar("Function", bound=Callable[..., Any])

SMALLEST = np.float32(2**-14)
"""The smallest normal float16."""
PER_SPACE = np.float32(2**24)
"""float16 numbers in 1 where they are below `SMALLEST`."""
# Bits of float32.
SIGN, MAGNITUDE = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
NORMAL, LARGEST = np.uint32(0x38800000), np.uint32(0x477FE000)
"""`SMALLEST`, and 65504, the largest float16."""
COARSE = np.uint32(0xFFFFE000)
"""What float16 keeps."""
ONE_EXPONENT = np.uint32(0x38000000)
"""Exponent bias of float32 less that of float16."""
MINUS_ZERO = np.uint16(0x8000)
"""Bits of float16."""
LOWEST_ID = np.int64((1 << 32) - 1)
BARRED = np.int64(-(1 << 62))
"""Key of an excerpt that may not be chosen."""
PAIRS = 128
"""Neurons whose activations on one excerpt are copied at once."""
TOGETHER = 8
"""Excerpts between sweeping and copying; of them a few hundred neurons' activations stay in the processor's cache."""
BLOCK_ROWS = 64
"""Tokens summed in float32 before they are added in float64."""


class Rows(NamedTuple):
    """Activations of a batch as they lie in memory."""

    values: Float32[np.ndarray, "row neuron"]
    step: int
    """Rows from the beginning of one excerpt to that of the next; more than an excerpt has where a token before it is left out."""
    length: int
    """Rows of an excerpt."""


def compiled(function: Function) -> Function:
    """Compile at the first call, for the arrays it is called with."""
    return cast(Function, njit(nogil=True, error_model="numpy")(function))


def elementwise(function: Function) -> Function:
    """Compile at the first call, for numbers and for arrays of them."""
    return cast(Function, vectorize(function))  # type: ignore[no-untyped-call]  # numba types njit only


@compiled
def rounded(size: Any) -> Any:
    """Bits of a float32 that is not below `SMALLEST`, rounded to nearest even where those of a float16 end; what is after is to be cut."""
    return size + np.uint32(0xFFF) + (size >> np.uint32(13) & np.uint32(1))


@compiled
def spaced(size: Any) -> Any:
    """A number below `SMALLEST`, rounded to nearest even as float16 spaces them there: as float32 spaces what follows 0.5."""
    return (size + np.float32(0.5)) - np.float32(0.5)


@compiled
def to_half(values: Float32[np.ndarray, " value"], bits: UInt32[np.ndarray, " value"], into: UInt16[np.ndarray, " value"]) -> None:
    """Bits of float16: to nearest even, cut to the largest. `bits` are those of the values."""
    for at in range(len(values)):
        size = min(bits[at] & MAGNITUDE, LARGEST)
        normal = (rounded(size) - ONE_EXPONENT) >> np.uint32(13)
        small = np.uint32(spaced(abs(values[at])) * PER_SPACE)
        into[at] = (small if size < NORMAL else normal) | (bits[at] & SIGN) >> np.uint32(16)


@compiled
def sweep(
    rows: Rows,
    first: int,
    shift: Float32[np.ndarray, " neuron"],
    maxima: UInt16[np.ndarray, "excerpt neuron"],
    sums: Float64[np.ndarray, "5 neuron"],
) -> None:
    """Largest activations of each excerpt, as float16; add powers 1 to 4 of the deviation from `shift`, and what is above 0, to `sums`.

    The neurons are as many as `shift` has, from `first` on.
    """
    values, stop = rows.values, first + len(shift)
    room = np.empty((5, len(shift)), np.float32)
    largest = np.empty(len(shift), np.float32)
    for excerpt in range(len(maxima)):
        largest[:] = -np.inf
        end = excerpt * rows.step + rows.length
        for block in range(excerpt * rows.step, end, BLOCK_ROWS):
            last = min(block + BLOCK_ROWS, end)
            by_four = last - (last - block) % 4
            room[:] = 0
            for row in range(block, by_four, 4):  # Four at once: sums are loaded and stored a quarter as often.
                four = values[row, first:stop], values[row + 1, first:stop], values[row + 2, first:stop], values[row + 3, first:stop]
                sweep_rows(four, shift, room, largest)
            for row in range(by_four, last):
                sweep_rows((values[row, first:stop],), shift, room, largest)
            sums += room
        to_half(largest, largest.view(np.uint32), maxima[excerpt])


@compiled
def sweep_rows(rows: Any, shift: Any, room: Any, maxima: Any) -> None:
    """The same for a few rows of one excerpt, added up in `room`."""
    one, two, three, four, above = room[0], room[1], room[2], room[3], room[4]
    for n in range(len(shift)):
        centre, sum_1, sum_2, sum_3, sum_4, count, largest = shift[n], one[n], two[n], three[n], four[n], above[n], maxima[n]
        for row in rows:
            x = row[n]
            d = x - centre
            square = d * d
            sum_1 += d
            sum_2 += square
            sum_3 += d * square
            sum_4 += square * square
            count += np.float32(x > 0)
            largest = x if x > largest else largest
        one[n], two[n], three[n], four[n], above[n], maxima[n] = sum_1, sum_2, sum_3, sum_4, count, largest


@elementwise
def key(maximum: Any, excerpt: Any) -> Any:
    """The key of an excerpt (strongest.keys_of) from the bits of its largest activation; also of arrays."""
    if maximum == MINUS_ZERO:
        maximum = np.uint16(0)
    ordered = maximum ^ np.uint16(0xFFFF) if maximum & MINUS_ZERO else maximum | MINUS_ZERO
    return np.int64(ordered) << 32 | (LOWEST_ID - excerpt)


@compiled
def enter(
    held: Int64[np.ndarray, "neuron top"],
    maxima: UInt16[np.ndarray, "excerpt neuron"],
    first: int,
    barred_excerpts: Int64[np.ndarray, " pair"],
    barred_neurons: Int64[np.ndarray, " pair"],
) -> Any:
    """Put the keys of a batch's excerpts, numbered from `first`, into `held` where they beat what is there; see `changes`.

    Pairs of excerpt (ascending) and neuron are barred.
    """
    came, weakest = np.full(held.shape, -1, np.int32), lowest(held)
    barred, pair = np.zeros(len(held), np.bool_), 0
    for excerpt in range(len(maxima)):
        begin = pair
        while pair < len(barred_excerpts) and barred_excerpts[pair] == excerpt:
            barred[barred_neurons[pair]] = True
            pair += 1
        for n in range(len(held)):
            offered = key(maxima[excerpt, n], first + excerpt)
            if offered > held[n, weakest[n]] and not barred[n]:
                replace(held, came, weakest, n, offered, excerpt)
        barred[barred_neurons[begin:pair]] = False
    return changes(came, len(maxima))


@compiled
def merge(held: Int64[np.ndarray, "neuron top"], offered: Int64[np.ndarray, "neuron key"]) -> Any:
    """Put offered keys into `held` where they beat what is there; see `changes`."""
    came, weakest = np.full(held.shape, -1, np.int32), lowest(held)
    for n in range(len(held)):
        for position in range(offered.shape[1]):
            if offered[n, position] > held[n, weakest[n]]:
                replace(held, came, weakest, n, offered[n, position], position)
    return changes(came, offered.shape[1])


@compiled
def replace(held: Any, came: Any, weakest: Any, n: Any, offered: Any, position: Any) -> None:
    """Put the key that was offered at `position` in the place of the neuron's lowest one."""
    held[n, weakest[n]], came[n, weakest[n]] = offered, position
    weakest[n] = held[n].argmin()


@compiled
def lowest(held: Any) -> Any:
    """The place of each neuron's lowest key."""
    found = np.empty(len(held), np.int64)
    for n in range(len(held)):
        found[n] = held[n].argmin()
    return found


@compiled
def changes(came: Any, positions: Any) -> Any:
    """Position (ascending), neuron and place of each key that came; from the position by neuron and place, -1 for none."""
    ends = np.zeros(positions + 1, np.int64)  # A counting sort.
    for position in came.ravel():
        if position >= 0:
            ends[position + 1] += 1
    ends = ends.cumsum()
    found = np.empty((3, ends[-1]), np.int64)
    for n in range(len(came)):
        for place in range(came.shape[1]):
            position = came[n, place]
            if position >= 0:
                found[0, ends[position]], found[1, ends[position]], found[2, ends[position]] = position, n, place
                ends[position] += 1
    return found[0], found[1], found[2]


@compiled
def copy(
    rows: Rows,
    first: int,
    excerpts: Int64[np.ndarray, " pair"],
    neurons: Int64[np.ndarray, " pair"],
    places: Int64[np.ndarray, " pair"],
    kept: UInt16[np.ndarray, "neuron place token"],
) -> None:
    """Copy activations of pairs of excerpt and neuron to the neuron's places: bits of float16, to nearest even, cut to the largest."""
    length = rows.length
    block, column = np.empty((length, PAIRS), np.float32), np.empty(length, np.float32)
    bits = column.view(np.uint32)
    start = 0
    while start < len(excerpts):
        stop = start + 1
        while stop < min(start + PAIRS, len(excerpts)) and excerpts[stop] == excerpts[start]:
            stop += 1
        begin, taken = excerpts[start] * rows.step, neurons[start:stop]
        for token in range(length):  # Row by row: each lies on another page of memory.
            row, into = rows.values[begin + token, first:], block[token]
            for pair in range(len(taken)):
                into[pair] = row[taken[pair]]
        for pair in range(len(taken)):
            for token in range(length):
                column[token] = block[token, pair]
            to_half(column, bits, kept[taken[pair], places[start + pair]])
        start = stop


@compiled
def take_in(
    rows: Rows,
    first: int,
    shift: Float32[np.ndarray, " neuron"],
    number: int,
    excerpts: Int64[np.ndarray, " pair"],
    neurons: Int64[np.ndarray, " pair"],
    slots: Int64[np.ndarray, " pair"],
    keys: Int64[np.ndarray, "neuron top"],
    top: UInt16[np.ndarray, "neuron top token"],
    random: UInt16[np.ndarray, "neuron slot token"],
) -> Float64[np.ndarray, "5 neuron"]:
    """Sweep the excerpts, numbered from `number`; copy those that were drawn for a neuron (pairs) and those that enter its strongest ones.

    A few excerpts at a time, which are still in the processor's cache when they are copied. Gives the sums of `sweep`.
    """
    count = (len(rows.values) - rows.length) // rows.step + 1
    maxima, sums = np.empty((TOGETHER, len(shift)), np.uint16), np.zeros((5, len(shift)))
    for begin in range(0, count, TOGETHER):
        some = min(TOGETHER, count - begin)
        these = Rows(rows.values[begin * rows.step :], rows.step, rows.length)
        sweep(these, first, shift, maxima[:some], sums)
        part = slice(np.searchsorted(excerpts, begin), np.searchsorted(excerpts, begin + some))
        drawn = excerpts[part] - begin
        copy(these, first, drawn, neurons[part], slots[part], random)
        came = enter(keys, maxima[:some], number + begin, drawn, neurons[part])
        copy(these, first, came[0], came[1], came[2], top)
    return sums


@compiled
def add_tokens(
    rows: Rows,
    first: int,
    stop: int,
    entries: Int64[np.ndarray, " entry"],
    order: Int64[np.ndarray, " token"],
    starts: Int64[np.ndarray, " border"],
    sums: Float64[np.ndarray, "entry neuron"],
) -> None:
    """Add the activations of neurons `first` to `stop`, as float16 would hold them, to the sums of their tokens (seen.Listed)."""
    size = stop - first
    whole = np.empty(size)
    near = np.empty(size, np.float32)
    bits = near.view(np.uint32)
    for entry in range(len(entries)):
        whole[:] = 0
        for at in order[starts[entry] : starts[entry + 1]]:
            row = rows.values[at // rows.length * rows.step + at % rows.length, first:stop]
            near[:] = row
            for n in range(size):
                bits[n] = rounded(min(bits[n] & MAGNITUDE, LARGEST)) & COARSE | bits[n] & SIGN
            for n in range(size):
                x = row[n]
                small = spaced(abs(x))
                whole[n] += near[n] if abs(x) >= SMALLEST else (small if x > 0 else -small)
        into = sums[entries[entry], first:stop]
        for n in range(size):
            into[n] += whole[n]


@compiled
def leave_out(
    entries: Int64[np.ndarray, "neuron token"],
    activations: Float32[np.ndarray, "neuron token"],
    sums: Float64[np.ndarray, "neuron entry"],
    counts: Float64[np.ndarray, "neuron entry"],
) -> None:
    """Take tokens back out of the sums and counts of their entries; -1 is in no table."""
    for n in range(len(entries)):
        for token in range(entries.shape[1]):
            entry = entries[n, token]
            if entry >= 0:
                sums[n, entry] -= activations[n, token]
                counts[n, entry] -= 1
