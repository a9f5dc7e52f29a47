"""One layer of many units of which few fire, while excerpts stream by: what is held follows what fires.

Values above zero are kept as events and now and then reduced to those of excerpts that matter: each unit's strongest and its random ones.
What is kept is the same in whatever order batches come and wherever they were recorded.
"""

from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int32, Int64, UInt16
from torch import Tensor

from neurogloss.recording.kernels import LOWEST_ID
from neurogloss.recording.layer import Batch
from neurogloss.recording.layers import LayerPlan
from neurogloss.recording.moments import Moments, from_powers, join, no_moments
from neurogloss.recording.strongest import FLOAT16_MAX

PENDING = 1 << 22
"""Events that come in before the kept ones are sorted again, at least (about 90 MB)."""
ARRAYS = ("units", "positions", "bits", "sum_keys", "sums", "firing", "clipped", "count", "mean", "central")


@dataclass
class Events:
    """Values above zero: the unit's row in the plan, excerpt * length + token, bits of float16."""

    units: Int32[np.ndarray, " event"]
    positions: Int64[np.ndarray, " event"]
    bits: UInt16[np.ndarray, " event"]


@dataclass
class SparseState:
    """What is known of a layer's units so far; see LayerState, whose part it takes."""

    plan: LayerPlan
    top: int
    entries: int
    held_out: Bool[np.ndarray, " excerpt"]
    length: int
    units: Int32[np.ndarray, " event"]
    """Events of the kept excerpts, by unit and position."""
    positions: Int64[np.ndarray, " event"]
    bits: UInt16[np.ndarray, " event"]
    sum_keys: Int64[np.ndarray, " pair"]
    """unit * entries + entry of the token table, ascending."""
    sums: Float64[np.ndarray, " pair"]
    """Of float16 values, so adding them is exact and order does not matter; an entry that is missing has 0."""
    firing: Int64[np.ndarray, " unit"]
    clipped: Int64[np.ndarray, " one"]
    count: Int64[np.ndarray, " one"]
    mean: Float64[np.ndarray, " unit"]
    central: Float64[np.ndarray, "3 unit"]
    pending: list[Events] = field(default_factory=list)
    pending_sums: list[tuple[Int64[np.ndarray, " event"], Float64[np.ndarray, " event"]]] = field(default_factory=list)
    waiting: int = 0
    """Events in `pending`."""

    @property
    def moments(self) -> Moments:
        """Of the shards joined so far."""
        return Moments(int(self.count[0]), self.mean, self.central)

    def add_moments(self, moments: Moments) -> None:
        """Join the next shard's; the order of shards is part of the result."""
        joined = join(self.moments, moments)
        self.count[0], self.mean[:], self.central[:] = joined.count, joined.mean, joined.sums

    def add(self, events: Events, keys: Int64[np.ndarray, " event"], values: Float64[np.ndarray, " event"]) -> None:
        """Take in events, and values with their places in the token table."""
        self.pending.append(events)
        self.pending_sums.append((keys, values))
        self.waiting += len(events.units)
        if self.waiting >= max(PENDING, len(self.units) // 2):
            self.reduce()

    def take(self, other: "SparseState", plan: LayerPlan, excerpts: range) -> None:
        """Add what another state learned from these later excerpts; its moments are joined apart, shard by shard."""
        other.reduce()
        self.add(Events(other.units, other.positions, other.bits), other.sum_keys, other.sums)
        self.firing += other.firing
        self.clipped += other.clipped

    def arrays(self) -> dict[str, np.ndarray]:
        """By name, for keeping."""
        self.reduce()
        return {name: getattr(self, name) for name in ARRAYS}

    def reduce(self) -> None:
        """Keep the events of excerpts that are among a unit's strongest so far or are drawn for it; add up sums by place."""
        if not self.pending:
            return
        every = [Events(self.units, self.positions, self.bits), *self.pending]
        units, positions, bits = (np.concatenate([getattr(part, name) for part in every]) for name in ("units", "positions", "bits"))
        self.pending, self.waiting = [], 0
        order = np.argsort(units * np.int64(self.length * len(self.held_out)) + positions, kind="stable")
        units, positions, bits = units[order], positions[order], bits[order]
        found = spans_of(units, positions // self.length, bits, self.random_pairs, len(self.held_out))
        kept = np.repeat(found.drawn | strong(found, self.held_out, self.plan.border, self.top), found.lengths)
        self.units, self.positions, self.bits = units[kept], positions[kept], bits[kept]
        keys, sums = added_up(self.pending_sums)
        self.pending_sums = []
        self.sum_keys, self.sums = joined_sums(self.sum_keys, self.sums, keys, sums)

    @property
    def random_pairs(self) -> Int64[np.ndarray, " pair"]:
        """unit * excerpts + excerpt of what was drawn, ascending."""
        rows = np.arange(len(self.plan.random), dtype=np.int64)[:, None]
        return np.sort((rows * len(self.held_out) + self.plan.random).ravel())


@dataclass
class Spans:
    """Runs of events of one unit on one excerpt."""

    units: Int32[np.ndarray, " span"]
    excerpts: Int64[np.ndarray, " span"]
    lengths: Int64[np.ndarray, " span"]
    keys: Int64[np.ndarray, " span"]
    """strongest.keys_of the largest value."""
    drawn: Bool[np.ndarray, " span"]
    """Whether the excerpt was drawn for the unit, and so is not among its strongest."""


def spans_of(units: np.ndarray, excerpts: np.ndarray, bits: np.ndarray, random_pairs: np.ndarray, count: int) -> Spans:
    """The spans of events that are sorted by unit and position."""
    begins = np.flatnonzero(np.append(True, (np.diff(units) != 0) | (np.diff(excerpts) != 0))[: len(units)])
    lengths = np.diff(np.append(begins, len(units)))
    units, excerpts = units[begins], excerpts[begins]
    largest = np.maximum.reduceat(bits, begins) if len(begins) else bits  # Bits of positive numbers are in their order.
    pairs = units * np.int64(count) + excerpts
    places = np.searchsorted(random_pairs, pairs).clip(max=max(len(random_pairs) - 1, 0))
    drawn = random_pairs[places] == pairs if len(random_pairs) else np.zeros(len(pairs), np.bool_)
    return Spans(units, excerpts, lengths, positive_keys(largest, excerpts), drawn)


def positive_keys(bits: UInt16[np.ndarray, " span"], excerpts: Int64[np.ndarray, " span"]) -> Int64[np.ndarray, " span"]:
    """strongest.keys_of numbers that are not below zero, from their bits.

    >>> from neurogloss.recording.strongest import keys_of
    >>> bool(positive_keys(np.array([0x3C00], np.uint16), np.array([7]))[0] == keys_of(np.float16(1), np.int64(7)))
    True
    """
    return (bits.astype(np.int64) | 0x8000) << 32 | (LOWEST_ID - excerpts)


def strong(spans: Spans, held_out: Bool[np.ndarray, " excerpt"], border: int, top: int) -> Bool[np.ndarray, " span"]:
    """Whether each span is among its unit's strongest: `border` of what is not held out, the rest of the top of what is."""
    return ranks(spans, held_out) < np.where(held_out[spans.excerpts], top - border, border)


def ranks(spans: Spans, held_out: Bool[np.ndarray, " excerpt"]) -> Int64[np.ndarray, " span"]:
    """Place of each span among those of its unit and side, the strongest first; beyond all for one that was drawn."""
    found = np.full(len(spans.units), np.iinfo(np.int64).max)
    free = np.flatnonzero(~spans.drawn)
    groups = spans.units[free] * np.int64(2) + held_out[spans.excerpts[free]]
    order = np.lexsort((-spans.keys[free], groups))
    ordered = groups[order]
    begins = np.flatnonzero(np.append(True, np.diff(ordered) != 0)[: len(ordered)])
    found[free[order]] = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    return found


def added_up(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[Int64[np.ndarray, " pair"], Float64[np.ndarray, " pair"]]:
    """Sums by key, keys ascending."""
    keys, values = (np.concatenate([part[which] for part in parts]) for which in (0, 1))
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    begins = np.flatnonzero(np.append(True, np.diff(keys) != 0)[: len(keys)])
    return keys[begins], np.add.reduceat(values[order], begins) if len(begins) else values


def joined_sums(
    keys: Int64[np.ndarray, " pair"],
    sums: Float64[np.ndarray, " pair"],
    other: Int64[np.ndarray, " more"],
    added: Float64[np.ndarray, " more"],
) -> tuple[Int64[np.ndarray, " pair"], Float64[np.ndarray, " pair"]]:
    """Sums by ascending key of two such lists; the first is the long one, which is written to and never sorted."""
    places = np.searchsorted(keys, other)
    known = np.zeros(len(other), np.bool_)
    inside = places < len(keys)
    known[inside] = keys[places[inside]] == other[inside]
    sums[places[known]] += added[known]
    places, other, added = places[~known], other[~known], added[~known]
    return np.insert(keys, places, other), np.insert(sums, places, added)


def empty_sparse_state(plan: LayerPlan, top: int, entries: int, held_out: Bool[np.ndarray, " excerpt"], length: int) -> SparseState:
    """Before the first excerpt."""
    count, none = len(plan.neurons), no_moments(len(plan.neurons))
    nothing = np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.uint16), np.empty(0, np.int64), np.empty(0, np.float64)
    numbers = np.zeros(count, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64), none.mean, none.sums
    return SparseState(plan, top, entries, held_out, length, *nothing, *numbers)


class SparseRecorder:
    """Takes one layer's sparse values batch by batch into a state; batches may come in any order, from several threads."""

    def __init__(self, plan: LayerPlan, state: SparseState) -> None:
        self.plan, self.state, self.lock = plan, state, Lock()
        self.rows = np.full(plan.width, -1, np.int32)
        """Row in the plan of each column, -1 where it is not recorded."""
        self.rows[plan.neurons] = np.arange(len(plan.neurons), dtype=np.int32)

    def see(self, batch: Batch, seen: Tensor) -> Moments:
        """Take in a batch's values, a sparse tensor of (excerpt, token, unit) above zero, and give their moments."""
        excerpts, tokens, columns = seen.indices().cpu().numpy()
        values, units = seen.values().float().cpu().numpy(), self.rows[columns]
        kept = units >= 0
        if not kept.all():
            excerpts, tokens, values, units = excerpts[kept], tokens[kept], values[kept], units[kept]
        count, length = len(self.plan.neurons), self.state.length
        places = excerpts * length + tokens  # In the batch.
        powers = [np.bincount(units, values.astype(np.float64) ** power, count) for power in (1, 2, 3, 4)]
        near = torch.from_numpy(values).clamp_max(FLOAT16_MAX).half().numpy()
        bits = near.view(np.uint16)
        entries = np.full(batch.tokens.numel(), -1, np.int64)
        entries[batch.listed.order] = np.repeat(batch.listed.entries, np.diff(batch.listed.starts))
        listed = entries[places] >= 0
        keys = units[listed] * np.int64(self.state.entries) + entries[places[listed]]
        there = bits != 0
        events = Events(units[there], batch.first * length + places[there], bits[there])
        with self.lock:
            self.state.add(events, keys, near[listed].astype(np.float64))
            self.state.firing += np.bincount(units, minlength=count)
            self.state.clipped += np.count_nonzero(values > FLOAT16_MAX)
        return from_powers(batch.tokens.numel(), np.zeros(count), np.stack(powers))
