"""The loops over activations, compiled: each reads them once where array operations would read them ten times.

They let go of Python's lock, so that threads can run them side by side, and give the same bits on every machine: numbers are added in the
order of the tokens, and nothing is contracted. What is compiled is not kept on disk; so that it does not take long, the loops use plain
arithmetic and of numpy hardly more than `empty`, because each of its functions would be compiled too.
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
def rounded_bits(size: Any) -> Any:
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
        normal = (rounded_bits(size) - ONE_EXPONENT) >> np.uint32(13)
        small = np.uint32(spaced(abs(values[at])) * PER_SPACE)
        into[at] = (small if size < NORMAL else normal) | (bits[at] & SIGN) >> np.uint32(16)


@compiled
def sweep(rows: Rows) -> Any:
    """Shift, maxima and sums of seen.Swept."""
    values, width = rows.values, rows.values.shape[1]
    excerpts = (len(values) - rows.length) // rows.step + 1
    shift, largest = np.empty(width, np.float32), np.empty(width, np.float32)
    maxima, sums, room = np.empty((excerpts, width), np.uint16), np.empty((5, width), np.float64), np.empty((5, width), np.float32)
    for n in range(width):
        shift[n] = 0
    for row in range(rows.length):
        for n in range(width):
            shift[n] += values[row, n]
    for n in range(width):
        shift[n] /= np.float32(rows.length)
    for power in range(5):
        for n in range(width):
            sums[power, n] = 0
    for excerpt in range(excerpts):
        for n in range(width):
            largest[n] = -np.inf
        end = excerpt * rows.step + rows.length
        for block in range(excerpt * rows.step, end, BLOCK_ROWS):
            last = min(block + BLOCK_ROWS, end)
            by_four = last - (last - block) % 4
            for power in range(5):
                for n in range(width):
                    room[power, n] = 0
            for row in range(block, by_four, 4):  # Four at once: sums are loaded and stored a quarter as often.
                sweep_rows((values[row], values[row + 1], values[row + 2], values[row + 3]), shift, room, largest)
            for row in range(by_four, last):
                sweep_rows((values[row],), shift, room, largest)
            for power in range(5):
                for n in range(width):
                    sums[power, n] += room[power, n]
        to_half(largest, largest.view(np.uint32), maxima[excerpt])
    return shift, maxima, sums


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
    border: int,
    sides: Int64[np.ndarray, " excerpt"],
    maxima: UInt16[np.ndarray, "excerpt neuron"],
    first: int,
    barred_excerpts: Int64[np.ndarray, " pair"],
    barred_neurons: Int64[np.ndarray, " pair"],
) -> Any:
    """Put the keys of a batch's excerpts, numbered from `first`, into `held` where they beat what is there; see `changes`.

    Excerpts of side 0 compete for the places before `border`, those of side 1 for the others.
    Pairs of excerpt (ascending) and neuron are barred.
    """
    came, weakest = nobody(held, border)
    barred, pair = np.empty(len(held), np.bool_), 0
    for n in range(len(held)):
        barred[n] = False
    for excerpt in range(len(maxima)):
        known_from = pair
        while pair < len(barred_excerpts) and barred_excerpts[pair] == excerpt:
            barred[barred_neurons[pair]] = True
            pair += 1
        begins, ends, low = bounds(held, border, sides[excerpt], weakest)
        if begins < ends:
            for n in range(len(held)):
                offered = key(maxima[excerpt, n], first + excerpt)
                if offered > held[n, low[n]] and not barred[n]:
                    held[n, low[n]], came[n, low[n]] = offered, excerpt
                    low[n] = lowest(held[n], begins, ends)
        for known in range(known_from, pair):
            barred[barred_neurons[known]] = False
    return changes(came, len(maxima))


@compiled
def merge(held: Int64[np.ndarray, "neuron top"], border: int, offered: Int64[np.ndarray, "neuron top"]) -> Any:
    """Put offered keys into `held` where they beat what is there, each on its side of the border; see `changes`."""
    came, weakest = nobody(held, border)
    for side in range(2):
        begins, ends, low = bounds(held, border, side, weakest)
        for n in range(len(held)):
            for position in range(begins, ends):
                if offered[n, position] > held[n, low[n]]:
                    held[n, low[n]], came[n, low[n]] = offered[n, position], position
                    low[n] = lowest(held[n], begins, ends)
    return changes(came, offered.shape[1])


@compiled
def bounds(held: Any, border: Any, side: Any, weakest: Any) -> Any:
    """Where the places of a side begin and end, and which of them holds each neuron's lowest key."""
    return (border if side else 0), (held.shape[1] if side else border), weakest[side]


@compiled
def nobody(held: Any, border: Any) -> Any:
    """Where the key of each place came from, nowhere yet; the place of each neuron's lowest key on either side of the border."""
    came, weakest = np.empty(held.shape, np.int32), np.empty((2, len(held)), np.int64)
    for n in range(len(held)):
        for place in range(held.shape[1]):
            came[n, place] = -1
        weakest[0, n] = lowest(held[n], 0, border)
        weakest[1, n] = lowest(held[n], border, held.shape[1])
    return came, weakest


@compiled
def lowest(keys: Any, begins: Any, ends: Any) -> Any:
    """The place of the lowest key from `begins` to before `ends`."""
    found = begins
    for place in range(begins + 1, ends):
        if keys[place] < keys[found]:
            found = place
    return found


@compiled
def changes(came: Any, positions: Any) -> Any:
    """Position (ascending), neuron and place of each key that came; from the position by neuron and place, -1 for none."""
    ends = np.empty(positions + 1, np.int64)  # A counting sort.
    for position in range(positions + 1):
        ends[position] = 0
    for n in range(len(came)):
        for place in range(came.shape[1]):
            ends[came[n, place] + 1] += 1  # Those that did not come are counted at the front.
    ends[0] = 0
    for position in range(positions):
        ends[position + 1] += ends[position]
    sources, neurons, places = np.empty(ends[positions], np.int64), np.empty(ends[positions], np.int64), np.empty(ends[positions], np.int64)
    for n in range(len(came)):
        for place in range(came.shape[1]):
            position = came[n, place]
            if position >= 0:
                at = ends[position]
                sources[at], neurons[at], places[at] = position, n, place
                ends[position] += 1
    return sources, neurons, places


@compiled
def copy(
    rows: Rows,
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
            row, into = rows.values[begin + token], block[token]
            for pair in range(len(taken)):
                into[pair] = row[taken[pair]]
        for pair in range(len(taken)):
            for token in range(length):
                column[token] = block[token, pair]
            to_half(column, bits, kept[taken[pair], places[start + pair]])
        start = stop


@compiled
def add_tokens(
    rows: Rows,
    entries: Int64[np.ndarray, " entry"],
    order: Int64[np.ndarray, " token"],
    starts: Int64[np.ndarray, " border"],
    sums: Float64[np.ndarray, "entry neuron"],
) -> None:
    """Add activations, as float16 would hold them, to the sums of their tokens (seen.Listed)."""
    size = rows.values.shape[1]
    whole = np.empty(size, np.float64)
    near = np.empty(size, np.float32)
    bits = near.view(np.uint32)
    for entry in range(len(entries)):
        for n in range(size):
            whole[n] = 0
        for at in order[starts[entry] : starts[entry + 1]]:
            row = rows.values[at // rows.length * rows.step + at % rows.length]
            for n in range(size):
                near[n] = row[n]
            for n in range(size):
                bits[n] = rounded_bits(min(bits[n] & MAGNITUDE, LARGEST)) & COARSE | bits[n] & SIGN
            for n in range(size):
                x = row[n]
                small = spaced(abs(x))
                whole[n] += near[n] if abs(x) >= SMALLEST else (small if x > 0 else -small)
        into = sums[entries[entry]]
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
