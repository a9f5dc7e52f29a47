"""From what the pass kept of a sparse layer to what is recorded: the same as of a dense one (finish.py), zeros left out."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from jaxtyping import Int32, Int64

from neurogloss.artifacts.recordings import Slots, Split
from neurogloss.artifacts.sparse import SparseRows, rows_from
from neurogloss.corpus.windows import Excerpts
from neurogloss.recording import kernels
from neurogloss.recording.finish import NEURONS_AT_ONCE, LayerResult, by_strength, statistics
from neurogloss.recording.layers import LayerPlan, TokenTable
from neurogloss.recording.moments import Moments
from neurogloss.recording.sparse import SparseState, added_up, positive_keys, ranks, spans_of
from neurogloss.recording.strongest import FLOAT16_MAX, excerpts_of


def finish_sparse(plan: LayerPlan, state: SparseState, slots: Slots, corpus: Excerpts, table: TokenTable) -> LayerResult:
    """Strongest excerpts by strength, random ones, values, statistics and token means of each unit."""
    state.reduce()
    keys = strongest_keys(state)
    order = by_strength(keys, plan.border, slots)
    excerpts = np.concatenate([excerpts_of(np.take_along_axis(keys, order, axis=1)).astype(np.int32), plan.random], axis=1)
    activations = placed(state, excerpts)
    left_out = slots.where() if corpus.held_out.any() else slots.where(Split.SCORE)  # Held-out excerpts are in no sum.
    means = sparse_token_means(state, excerpts, activations, left_out, corpus, table)
    return LayerResult(tabled(plan, state, slots, activations), excerpts, activations, means, int(state.clipped[0]))


def strongest_keys(state: SparseState) -> Int64[np.ndarray, "unit top"]:
    """Keys of each unit's strongest excerpts, those of the held-out ones from the border on; then the first quiet ones."""
    border, top, held_out = state.plan.border, state.top, state.held_out
    spans = spans_of(state.units, state.positions // state.length, state.bits, state.random_pairs, len(held_out))
    rank, side = ranks(spans, held_out), held_out[spans.excerpts]
    keys = np.full((len(state.plan.neurons), top), kernels.BARRED, np.int64)
    free = ~spans.drawn
    keys[spans.units[free], (rank + np.where(side, border, 0))[free]] = spans.keys[free]
    quiet = {1: np.flatnonzero(held_out), 0: np.flatnonzero(~held_out)}
    begins = np.searchsorted(spans.units, np.arange(len(keys) + 1))
    for unit in np.flatnonzero((keys == kernels.BARRED).any(axis=1)):
        known = np.concatenate([state.plan.random[unit], spans.excerpts[begins[unit] : begins[unit + 1]]])
        for first, last, number in ((0, border, 0), (border, top, 1)):
            missing = np.flatnonzero(keys[unit, first:last] == kernels.BARRED) + first
            candidates = quiet[number][: len(missing) + len(known)]
            fill = candidates[~np.isin(candidates, known)][: len(missing)]
            keys[unit, missing] = positive_keys(np.zeros(len(fill), np.uint16), fill)
    return keys


def placed(state: SparseState, excerpts: Int32[np.ndarray, "unit slot"]) -> SparseRows:
    """The values of each unit on its excerpts."""
    units, slots = excerpts.shape
    count = np.int64(len(state.held_out))
    events = state.units * count + state.positions // state.length
    found = np.empty(len(events), np.int64)
    for start in range(0, units, 1 << 14):  # The pairs of all units at once would take more memory than the events.
        part = excerpts[start : start + (1 << 14)]
        pairs = ((np.arange(start, start + len(part), dtype=np.int64) * count)[:, None] + part).ravel()
        order = np.argsort(pairs)
        begin, end = np.searchsorted(state.units, [start, start + len(part)])
        found[begin:end] = order[np.searchsorted(pairs, events[begin:end], sorter=order)] % slots
    places = found * state.length + state.positions % state.length
    row = slots * state.length
    order = np.argsort(state.units * np.int64(row) + places, kind="stable")
    shape = (units, slots, state.length)
    return rows_from(shape, state.units[order], places[order], state.bits[order].view(np.float16))


def sparse_token_means(
    state: SparseState, excerpts: np.ndarray, activations: SparseRows, left_out: np.ndarray, corpus: Excerpts, table: TokenTable
) -> SparseRows:
    """Mean value per token, each unit's excerpts in the slots `left_out` left out; NaN where nothing is left, nothing where it is zero."""
    entries = len(table.tokens)
    of = table.entries(corpus.tokens) if len(left_out) else np.empty((0, 0), np.int64)
    parts = []
    for start in range(0, len(excerpts), NEURONS_AT_ONCE):
        part = slice(start, min(start + NEURONS_AT_ONCE, len(excerpts)))
        low, high = np.searchsorted(state.sum_keys, [start * entries, part.stop * entries])
        keys, sums = state.sum_keys[low:high] - start * entries, state.sums[low:high]
        counts = table.counts[keys % entries].astype(np.float64)
        if len(left_out):
            hidden = of[excerpts[part][:, left_out]].reshape(part.stop - start, -1)
            there = hidden >= 0
            hidden_keys = (np.arange(len(hidden), dtype=np.int64)[:, None] * entries + hidden)[there]
            values = activations[part, left_out].reshape(hidden.shape)[there].astype(np.float64)
            hidden_keys, hidden_times, hidden_sums = tallied(hidden_keys, values)
            keys, sums = added_up([(keys, sums), (hidden_keys, -hidden_sums)])  # Every key that is hidden is in it.
            counts = table.counts[keys % entries].astype(np.float64)
            counts[np.searchsorted(keys, hidden_keys)] -= hidden_times
        means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0).clip(-FLOAT16_MAX, FLOAT16_MAX)
        parts.append(rows_from((part.stop - start, entries), keys // entries, keys % entries, means.astype(np.float16)))
    return stacked(parts, (len(excerpts), entries))


def tallied(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct keys, ascending, how often each occurs, and the sum of its values."""
    order = np.argsort(keys)
    keys = keys[order]
    begins = np.flatnonzero(np.append(True, np.diff(keys) != 0)[: len(keys)])
    return keys[begins], np.diff(np.append(begins, len(keys))), np.add.reduceat(values[order], begins) if len(begins) else values


def stacked(parts: list[SparseRows], shape: tuple[int, ...]) -> SparseRows:
    """Blocks of rows as one."""
    before = np.cumsum([0, *(len(part.numbers) for part in parts)])
    starts = [part.starts[:-1] + entries for part, entries in zip(parts, before, strict=False)]
    places, numbers = (np.concatenate([getattr(part, name) for part in parts]) for name in ("places", "numbers"))
    return SparseRows(shape, np.append(np.concatenate(starts), before[-1]).astype(np.int64), places, numbers)


def tabled(plan: LayerPlan, state: SparseState, slots: Slots, activations: SparseRows) -> pa.Table:
    """The NEURONS columns, some units at a time."""
    tables = []
    for start in range(0, max(1, len(plan.neurons)), NEURONS_AT_ONCE):
        part = slice(start, start + NEURONS_AT_ONCE)
        moments = Moments(int(state.count[0]), state.mean[part], state.central[:, part])
        tables.append(statistics(replace(plan, neurons=plan.neurons[part]), moments, state.firing[part], slots, activations[part]))
    return pa.concat_tables(tables)
