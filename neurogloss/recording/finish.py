"""From what the pass kept of a layer to what is recorded: sorted excerpts, statistics, token means without the score excerpts."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float16, Int32, Int64

from neurogloss.artifacts.recordings import NEURONS, OPEN_SPLITS, Kind, Slots, Split
from neurogloss.artifacts.sparse import SparseRows
from neurogloss.corpus.windows import Excerpts
from neurogloss.measures.levels import firing_shares
from neurogloss.recording import kernels
from neurogloss.recording.layer import LayerState
from neurogloss.recording.layers import LayerPlan, TokenTable
from neurogloss.recording.moments import Moments
from neurogloss.recording.strongest import FLOAT16_MAX, excerpts_of

NEURONS_AT_ONCE = 256


@dataclass(frozen=True)
class LayerResult:
    """One layer of the recordings."""

    statistics: pa.Table
    excerpts: Int32[np.ndarray, "neuron slot"]
    activations: Float16[np.ndarray, "neuron slot token"] | SparseRows
    token_means: Float16[np.ndarray, "neuron entry"] | SparseRows
    clipped: int
    """Activations beyond float16 that were cut to it."""


def finish(plan: LayerPlan, state: LayerState, slots: Slots, corpus: Excerpts, table: TokenTable) -> LayerResult:
    """Sort the strongest excerpts by strength, put the random ones after them, take the statistics."""
    order = by_strength(state.keys, plan.border, slots)
    strongest = excerpts_of(np.take_along_axis(state.keys, order, axis=1)).astype(np.int32)
    excerpts = np.concatenate([strongest, plan.random], axis=1)
    rows = np.arange(len(order))[:, None]
    activations = np.empty((*excerpts.shape, corpus.tokens.shape[1]), np.float16)
    for start in range(0, len(order), NEURONS_AT_ONCE):
        part = slice(start, start + NEURONS_AT_ONCE)
        activations[part, : order.shape[1]] = state.top[rows[part], order[part]]
        activations[part, order.shape[1] :] = state.random[part]
    left_out = slots.where() if corpus.held_out.any() else slots.where(Split.SCORE)  # Held-out excerpts are in no sum.
    means = token_means(state, excerpts, activations, left_out, corpus.tokens, table)
    return LayerResult(
        statistics(plan, state.moments, state.firing, slots, activations), excerpts, activations, means, int(state.clipped[0])
    )


def by_strength(keys: Int64[np.ndarray, "neuron top"], border: int, slots: Slots) -> Int64[np.ndarray, "neuron top"]:
    """Which of the top places goes to which top slot, the strongest first; the keys from the border on go to the score split's slots."""
    order = np.empty(keys.shape, np.int64)
    score = slots.where(Split.SCORE, kind=Kind.TOP) if border < keys.shape[1] else slots.where()
    order[:, np.setdiff1d(np.arange(keys.shape[1]), score)] = np.argsort(-keys[:, :border], axis=1)
    order[:, score] = border + np.argsort(-keys[:, border:], axis=1)
    return order


def statistics(
    plan: LayerPlan,
    moments: Moments,
    firing: np.ndarray,
    slots: Slots,
    activations: Float16[np.ndarray, "neuron slot token"],
) -> pa.Table:
    """The NEURONS columns; `firing` counts activations above zero. Peak and maximum never see the score split."""
    open_slots = slots.where(*OPEN_SPLITS)
    strongest = torch.from_numpy(activations).amax(dim=2).float().numpy()  # numpy would convert both sides of each comparison.
    maximum = strongest[:, open_slots].max(axis=1).astype(np.float64)
    peak = strongest[:, slots.where(Split.EXPLAIN)].max(axis=1, initial=-np.inf).astype(np.float64)
    columns = {
        "layer": np.full(len(plan.neurons), plan.layer, np.int32),
        "neuron": plan.neurons + np.int32(plan.first),
        "mean": moments.mean,
        "variance": moments.variance,
        "skewness": moments.standardised(3),
        "kurtosis": moments.standardised(4),
        "above_zero_share": firing / moments.count,
        "firing_share": firing_shares(activations[:, slots.where(*OPEN_SPLITS, kind=Kind.RANDOM)], np.where(peak > 0, peak, np.nan)),
        "maximum": maximum,
        "peak": np.where(peak > 0, peak, np.nan),
    }
    return pa.table({field.name: pa.array(columns[field.name], field.type, mask=~np.isfinite(columns[field.name])) for field in NEURONS})


def token_means(
    state: LayerState,
    excerpts: Int32[np.ndarray, "neuron slot"],
    activations: Float16[np.ndarray, "neuron slot token"],
    left_out: np.ndarray,
    tokens: Int32[np.ndarray, "excerpt token"],
    table: TokenTable,
) -> Float16[np.ndarray, "neuron entry"]:
    """Mean activation per token, excerpts in no sum and each neuron's in the slots `left_out` left out; NaN where nothing is left."""
    found = np.empty((len(excerpts), len(table.tokens)), np.float16)
    entries = table.entries(tokens)
    for start in range(0, len(excerpts), NEURONS_AT_ONCE):
        part = slice(start, start + NEURONS_AT_ONCE)
        sums = np.ascontiguousarray(state.sums[:, part].T)
        counts = np.tile(table.counts.astype(np.float64), (len(sums), 1))
        hidden = entries[excerpts[part][:, left_out]].reshape(len(sums), -1)
        kernels.leave_out(hidden, activations[part][:, left_out].reshape(len(sums), -1).astype(np.float32), sums, counts)
        means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        found[part] = np.clip(means, -FLOAT16_MAX, FLOAT16_MAX)
    return found
