"""device_ops.py as fused kernels: each activation is read once for moments and maxima, and only what enters the strongest is copied.

A program works on some units side by side, which lie next to each other in memory. Compiled at the first call for each excerpt length.
"""

import subprocess
from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Float16, Float32, Float64, Int32, Int64
from torch import Tensor

from neurogloss.parallel import first_line
from neurogloss.recording.device_ops import BARRED, LOWEST_ID, Listed, Sweep

LARGEST = tl.constexpr(65504.0)
LOWEST = tl.constexpr(LOWEST_ID)
BARRED_KEY = tl.constexpr(BARRED)
FULL = tl.constexpr((1 << 63) - 1)
"""Above every key: nobody competes for such a place."""
UNITS, TOKENS, EXCERPTS = 128, 8, 32
"""In a block of each kernel; `NARROW` units where whole excerpts compete."""
NARROW = 32


@triton.jit
def as_half(x):
    """float16, to nearest even, cut to the largest; comparisons leave what is not a number alone."""
    x = tl.where(x > LARGEST, LARGEST, x)
    return tl.where(x < -LARGEST, -LARGEST, x).to(tl.float16)


@triton.jit(do_not_specialize=["first"])
def sweep_kernel(
    values, shift, strengths, powers, flags, first, width, step, row, length: tl.constexpr, tokens: tl.constexpr, units: tl.constexpr
):
    """One excerpt, some units: the strength, sums of powers, and what is wrong with the activations."""
    excerpt = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1) * units + tl.arange(0, units)
    inside = unit < width
    centre = tl.load(shift + unit, mask=inside, other=0.0)[None, :]
    largest = tl.full((tokens, units), float("-inf"), tl.float32)
    one = tl.zeros((tokens, units), tl.float32)
    two = tl.zeros((tokens, units), tl.float32)
    three = tl.zeros((tokens, units), tl.float32)
    four = tl.zeros((tokens, units), tl.float32)
    above = tl.zeros((tokens, units), tl.float32)
    beyond = tl.zeros((tokens, units), tl.int32)
    for start in range(0, length, tokens):
        token = start + tl.arange(0, tokens)
        here = (token < length)[:, None] & inside[None, :]
        at = values + excerpt * step + token[:, None] * row + unit[None, :]
        x = tl.load(at, mask=here, other=0.0).to(tl.float32)
        d = tl.where(here, x - centre, 0.0)
        square = d * d
        one += d
        two += square
        three += d * square
        four += square * square
        above += tl.where(here & (x > 0), 1.0, 0.0)
        beyond += (tl.abs(x) > LARGEST).to(tl.int32)
        largest = tl.maximum(largest, tl.where(here, x, float("-inf")))
    fourth = tl.sum(four, axis=0)
    to = powers + excerpt * 5 * width + unit
    tl.store(to, tl.sum(one, axis=0), mask=inside)
    tl.store(to + width, tl.sum(two, axis=0), mask=inside)
    tl.store(to + 2 * width, tl.sum(three, axis=0), mask=inside)
    tl.store(to + 3 * width, fourth, mask=inside)
    tl.store(to + 4 * width, tl.sum(above, axis=0), mask=inside)
    bits = as_half(tl.max(largest, axis=0)).to(tl.int16, bitcast=True).to(tl.int32)
    bits = tl.where(bits == -0x8000, 0, bits)  # -0 is 0.
    tl.store(strengths + excerpt * width + unit, tl.where(bits < 0, ~bits, bits + 0x8000), mask=inside)
    count = tl.sum(tl.sum(beyond, axis=0), axis=0)
    if count > 0:
        tl.atomic_add(flags, count.to(tl.int64))
    wrong = tl.max(((fourth - fourth) != 0).to(tl.int32), axis=0)  # Infinity less itself is not a number.
    if wrong > 0:
        tl.atomic_min(flags + 1, first + excerpt)


@triton.jit(do_not_specialize=["first", "count"])
def enter_kernel(
    strengths, rows, count, first, keys, key_step, came, places, width, room: tl.constexpr, at_once: tl.constexpr, units: tl.constexpr
):
    """Some units: put the keys of the excerpts `rows` in the place of weaker ones, and write which excerpt came to each place, or -1."""
    unit = tl.program_id(0) * units + tl.arange(0, units)
    inside = unit < width
    place = tl.arange(0, room)
    real = (place < places)[:, None] & inside[None, :]
    at_key = keys + unit[None, :].to(tl.int64) * key_step + place[:, None]
    held = tl.load(at_key, mask=real, other=FULL)
    arrived = tl.full((room, units), -1, tl.int32)
    weakest = tl.min(held, axis=0)
    for start in range(0, count, at_once):
        number = start + tl.arange(0, at_once)
        row = tl.load(rows + number, mask=number < count, other=0)
        here = (number < count)[:, None] & inside[None, :]
        strength = tl.load(strengths + row[:, None] * width + unit[None, :], mask=here, other=-1).to(tl.int64)
        offered = tl.where(strength < 0, BARRED_KEY, (strength << 32) | (-(row + first) + LOWEST)[:, None])
        better = tl.max(offered, axis=0) > weakest
        while tl.max(better.to(tl.int32), axis=0) > 0:
            best = tl.max(offered, axis=0)
            better = best > weakest
            # Keys are unique, so this is one place of a unit.
            taken = (held == weakest[None, :]) & better[None, :]
            held = tl.where(taken, best[None, :], held)
            arrived = tl.where(taken, (-(best & LOWEST) + LOWEST - first).to(tl.int32)[None, :], arrived)
            offered = tl.where(offered == best[None, :], BARRED_KEY, offered)
            weakest = tl.min(held, axis=0)
    tl.store(at_key, held, mask=real)
    tl.store(came + place[:, None] * width + unit[None, :], arrived, mask=real)


@triton.jit
def copy_kernel(values, came, top, width, step, row, length: tl.constexpr, tokens: tl.constexpr, units: tl.constexpr):
    """One place, some units: the activations of the excerpts that came there."""
    place = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1) * units + tl.arange(0, units)
    excerpt = tl.load(came + place * width + unit, mask=unit < width, other=-1).to(tl.int64)
    if tl.max(excerpt, axis=0) >= 0:
        for start in range(0, length, tokens):
            token = start + tl.arange(0, tokens)
            here = (token < length)[:, None] & (excerpt >= 0)[None, :]
            found = tl.load(values + excerpt[None, :] * step + token[:, None] * row + unit[None, :], mask=here, other=0.0)
            to = top + (place * length + token[:, None]) * width + unit[None, :]
            tl.store(to, as_half(found.to(tl.float32)), mask=here)


@triton.jit
def add_tokens_kernel(values, excerpts, positions, entries, starts, sums, width, step, row, tokens: tl.constexpr, units: tl.constexpr):
    """One token of the table, some units: the sum over where it stands, added to what there is."""
    group = tl.program_id(0)
    unit = tl.program_id(1) * units + tl.arange(0, units)
    inside = unit < width
    end = tl.load(starts + group + 1)
    total = tl.zeros((tokens, units), tl.float64)
    for start in range(tl.load(starts + group), end, tokens):
        number = start + tl.arange(0, tokens)
        excerpt = tl.load(excerpts + number, mask=number < end, other=0)
        position = tl.load(positions + number, mask=number < end, other=0)
        here = (number < end)[:, None] & inside[None, :]
        x = tl.load(values + (excerpt * step + position * row)[:, None] + unit[None, :], mask=here, other=0.0)
        total += as_half(x.to(tl.float32)).to(tl.float64)
    to = sums + tl.load(entries + group) * width + unit
    tl.store(to, tl.load(to, mask=inside, other=0.0) + tl.sum(total, axis=0), mask=inside)


class TritonOperations:
    """The same as TorchOperations; `values` have their units next to each other."""

    def sweep(
        self,
        values: Float[Tensor, "excerpt token unit"],
        shift: Float32[Tensor, " unit"],
        first: int,
        flags: Int64[Tensor, " 2"],
    ) -> Sweep:
        """See TorchOperations."""
        excerpts, length, width = values.shape
        strengths = torch.empty((excerpts, width), dtype=torch.int32, device=values.device)
        powers = torch.empty((excerpts, 5, width), dtype=torch.float32, device=values.device)
        sizes = (first, width, values.stride(0), values.stride(1), length, TOKENS, UNITS)
        launch(sweep_kernel, (excerpts, blocks(width, UNITS)), values, shift, strengths, powers, flags, *sizes)
        return Sweep(strengths, powers)

    def keep(
        self,
        values: Float[Tensor, "excerpt token unit"],
        strengths: Int32[Tensor, "excerpt unit"],
        rows: Int64[Tensor, " row"],
        first: int,
        keys: Int64[Tensor, "unit place"],
        top: Float16[Tensor, "place token unit"],
    ) -> None:
        """See TorchOperations; a place whose excerpt stays is not touched."""
        _, length, width = values.shape
        places = keys.shape[1]
        came = torch.empty((places, width), dtype=torch.int32, device=values.device)
        sizes = (places, width, triton.next_power_of_2(places), EXCERPTS, NARROW)
        launch(enter_kernel, (blocks(width, NARROW),), strengths, rows, len(rows), first, keys, keys.stride(0), came, *sizes)
        steps = (width, values.stride(0), values.stride(1), length, TOKENS, NARROW)
        launch(copy_kernel, (places, blocks(width, NARROW)), values, came, top, *steps)

    def add_tokens(self, values: Float[Tensor, "excerpt token unit"], listed: Listed, sums: Float64[Tensor, "entry unit"]) -> None:
        """See TorchOperations."""
        width = values.shape[2]
        tokens = (listed.excerpts, listed.positions, listed.entries, listed.starts)
        sizes = (width, values.stride(0), values.stride(1), TOKENS, UNITS)
        launch(add_tokens_kernel, (len(listed.entries), blocks(width, UNITS)), values, *tokens, sums, *sizes)


def blocks(count: int, each: int) -> int:
    """So many blocks cover the count."""
    return -(-count // each)


def launch(kernel: Any, grid: tuple[int, ...], values: Tensor, *arguments: Any) -> None:
    """Run a kernel on the device of its first argument, which need not be the current one."""
    with torch.cuda.device(values.device) if values.is_cuda else torch.no_grad():
        kernel[grid](values, *arguments, enable_fp_fusion=True)


def unusable(place: torch.device) -> str:
    """Why Triton cannot compile and run a kernel on a device; empty where it can. A machine without a C compiler is one reason."""
    values = torch.ones((1, 1, 1), device=place)
    try:
        found = TritonOperations().sweep(values, torch.zeros(1, device=place), 0, torch.tensor([0, LOWEST_ID], device=place))
        sums = found.powers[0, :, 0].tolist()
    except (RuntimeError, OSError, ImportError, subprocess.SubprocessError, triton.errors.TritonError) as error:
        return first_line(error)
    return "" if sums == [1.0] * 5 else f"a sum of ones is {sums}"
