"""From what a device kept of a layer to what is recorded: excerpts sorted and token means taken there, statistics on the host."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float16, Float64, Int32, Int64
from torch import Tensor

from neurogloss.artifacts.recordings import Kind, Slots, Split
from neurogloss.corpus.windows import Excerpts
from neurogloss.recording.device_ops import LOWEST_ID, nearest_half
from neurogloss.recording.device_state import DeviceState, upload
from neurogloss.recording.finish import LayerResult, statistics
from neurogloss.recording.layers import LayerPlan, TokenTable
from neurogloss.recording.moments import Moments
from neurogloss.recording.strongest import FLOAT16_MAX

UNITS_AT_ONCE = 2048


@dataclass(frozen=True)
class Kept:
    """A layer in the processor's memory, its statistics not taken yet."""

    plan: LayerPlan
    excerpts: Int32[np.ndarray, "unit slot"]
    activations: Float16[np.ndarray, "unit slot token"]
    token_means: Float16[np.ndarray, "unit entry"]
    moments: Moments
    above_zero: Int64[np.ndarray, " unit"]
    clipped: int

    def result(self, slots: Slots) -> LayerResult:
        """With statistics."""
        table = statistics(self.plan, self.moments, self.above_zero, slots, self.activations)
        return LayerResult(table, self.excerpts, self.activations, self.token_means, self.clipped)


@dataclass(frozen=True)
class TableOnDevice:
    """Where the tokens of the table are in the corpus."""

    entries: Int32[Tensor, "excerpt token"]
    """Of each token; one past the last for what is in no table."""
    counts: Float64[Tensor, " entry"]
    """How often each occurs; 0 past the last."""
    left_out: Int64[Tensor, " left_out"]
    """Slots whose excerpts are in no mean of their unit."""
    tokens: int
    """In the corpus."""


def table_on_device(corpus: Excerpts, table: TokenTable, slots: Slots, place: torch.device) -> TableOnDevice:
    """The table there."""
    entries = table.entries(corpus.tokens)
    left_out = slots.where() if corpus.held_out.any() else slots.where(Split.SCORE)  # Held-out excerpts are in no sum.
    return TableOnDevice(
        upload(np.where(entries < 0, len(table.tokens), entries).astype(np.int32), place),
        upload(np.append(table.counts, 0).astype(np.float64), place),
        upload(left_out, place),
        corpus.tokens.size,
    )


def take_home(plan: LayerPlan, state: DeviceState, slots: Slots, table: TableOnDevice) -> Kept:
    """Sort the strongest excerpts by strength, put the random ones after them, take the token means; then bring all home."""
    place = state.keys.device
    order = by_strength(state.keys, plan.border, slots)
    strongest = LOWEST_ID - (state.keys.gather(1, order) & LOWEST_ID)
    excerpts = torch.cat([strongest, upload(plan.random.astype(np.int64), place)], dim=1)
    spread = order.T[:, None].expand(-1, state.top.shape[1], -1)
    activations = torch.cat([state.top.gather(0, spread).permute(2, 0, 1), state.random], dim=1)
    means = token_means(state.sums, excerpts, activations, table)
    return Kept(
        plan,
        excerpts.int().cpu().numpy(),
        activations.cpu().numpy(),
        means,
        state.moments(table.tokens),
        state.powers[4].long().cpu().numpy(),
        int(state.flags[0]),
    )


def by_strength(keys: Int64[Tensor, "unit place"], border: int, slots: Slots) -> Int64[Tensor, "unit place"]:
    """See finish.by_strength."""
    order = torch.empty_like(keys)
    score = slots.where(Split.SCORE, kind=Kind.TOP) if border < keys.shape[1] else slots.where()
    others = np.setdiff1d(np.arange(keys.shape[1]), score)
    order[:, upload(others, keys.device)] = keys[:, :border].argsort(dim=1, descending=True)
    order[:, upload(score, keys.device)] = border + keys[:, border:].argsort(dim=1, descending=True)
    return order


def token_means(
    sums: Float64[Tensor, "entry unit"],
    excerpts: Int64[Tensor, "unit slot"],
    activations: Float16[Tensor, "unit slot token"],
    table: TableOnDevice,
) -> Float16[np.ndarray, "unit entry"]:
    """Mean activation per token, excerpts in no sum and each unit's in the table's `left_out` slots left out; NaN where nothing is left.

    Sums are exact, so these are the means of finish.token_means to the last bit.
    """
    place, size = sums.device, len(sums)
    found = np.empty((len(excerpts), size), np.float16)
    for start in range(0, len(excerpts), UNITS_AT_ONCE):
        part = slice(start, start + UNITS_AT_ONCE)
        hidden = table.entries[excerpts[part].index_select(1, table.left_out)].flatten(1).long()
        taken = activations[part].index_select(1, table.left_out).flatten(1).double()
        left = torch.cat([sums[:, part].T, torch.zeros((len(hidden), 1), dtype=sums.dtype, device=place)], dim=1)
        times = table.counts.repeat(len(hidden), 1)
        left.scatter_add_(1, hidden, -taken)
        times.scatter_add_(1, hidden, torch.full_like(taken, -1.0))
        means = torch.where(times > 0, left / times, torch.nan)[:, :size]
        found[part] = nearest_half(means.clamp(-FLOAT16_MAX, FLOAT16_MAX)).cpu().numpy()
    return found
