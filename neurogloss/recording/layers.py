"""What is to be recorded, settled before the first forward pass: neurons, random excerpts, tokens that get a mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Int32

from neurogloss.artifacts.recordings import Kind, Slots, Split, assign_splits
from neurogloss.artifacts.units import UnitKind, parse_name, unit_name
from neurogloss.config.record import RecordParams
from neurogloss.errors import UserError

# Names of the independent random streams drawn from one seed.
EXCERPTS, NEURONS, RANDOM = 0, 1, 2
BATCH_TOKENS = 2048
"""Tokens in one forward pass; a constant, because the arithmetic of some machines depends on it."""
SHARD_BATCHES = 4
"""Batches in one shard, the unit of resuming and of moments."""


@dataclass(frozen=True)
class LayerPlan:
    """The units of one layer that are recorded, and their random excerpts."""

    layer: int
    width: int
    neurons: Int32[np.ndarray, " neuron"]
    """Columns of what is seen, ascending."""
    random: Int32[np.ndarray, "neuron slot"]
    """Excerpts drawn before anything is seen."""
    border: int
    """So many of the strongest excerpts are kept of those that are not held out; the rest of the top places is for the held-out ones."""
    first: int = 0
    """Index of the first column's unit."""
    sparse: bool = False
    """Whether few units are above zero at a token, so that their values come sparse."""


def excerpt_rng(seed: int) -> np.random.Generator:
    """The stream that draws excerpts."""
    return np.random.default_rng([seed, EXCERPTS])


def plan_layers(
    params: RecordParams,
    indices: Sequence[range],
    held_out: Bool[np.ndarray, " excerpt"],
    chosen: Mapping[int, Sequence[int]] | None = None,
    sparse: bool = False,
) -> list[LayerPlan]:
    """Choose layers, units and random excerpts; a layer's draw depends on nothing but the seed and its own place.

    `indices` are those of each layer's units, `chosen` the ones to record by layer, in place of what `record.layers` and `record.neurons`
    ask for. Raises UserError with every problem of the params.
    """
    there = [layer for layer, found in enumerate(indices) if found]
    layers = list(chosen) if chosen is not None else there if params.layers == "all" else list(params.layers)
    named = "record.layers" if chosen is None else "record.units"
    problems = [f"{named} names layer {layer} twice" for layer in sorted({x for x in layers if layers.count(x) > 1})]
    wrong = [layer for layer in layers if layer >= len(indices)]
    problems += [f"{named} names {wrong}, the subject has layers 0 to {len(indices) - 1}"] if wrong else []
    without = [layer for layer in layers if layer < len(indices) and not indices[layer]]
    problems += [f"{named} names {without}, which have no units there (layers {spans(there)} have); leave them out"] if without else []
    problems += [] if layers else [f"{named} is empty; name layers or write all"]
    if chosen is None and params.neurons != "all":
        problems += [
            f"record.neurons asks for {params.neurons} of layer {layer}, which has {indices[layer].stop}"
            for layer in layers
            if layer < len(indices) and params.neurons > indices[layer].stop > 0
        ]
    for layer, found in (chosen or {}).items():
        known = indices[layer] if layer < len(indices) else range(0)
        if known and (lost := [index for index in found if index not in known]):
            sides = "; negative sides need subject.signed" if min(lost) < 0 <= known.start else ""
            problems.append(f"record.units names index {lost[0]} of layer {layer}, which has {known.start} to {known.stop - 1}{sides}")
    if params.top + params.random > params.excerpts:
        problems.append(f"record.top + record.random is {params.top + params.random}, more than the {params.excerpts} excerpts")
    if problems:
        raise UserError("; ".join(problems))
    plans = [plan_layer(params, layer, indices[layer], held_out, (chosen or {}).get(layer)) for layer in sorted(layers)]
    return [replace(plan, sparse=sparse) for plan in plans]


def spans(layers: Sequence[int]) -> str:
    """Ascending numbers as text.

    >>> spans([0, 1, 2, 5])
    '0-2, 5'
    """
    runs: list[list[int]] = []
    for layer in layers:
        if runs and runs[-1][-1] == layer - 1:
            runs[-1][1:] = [layer]
        else:
            runs.append([layer])
    return ", ".join("-".join(map(str, run)) for run in runs) or "none"


def plan_layer(
    params: RecordParams, layer: int, indices: range, held_out: Bool[np.ndarray, " excerpt"], chosen: Sequence[int] | None = None
) -> LayerPlan:
    """One layer's units and their random excerpts. Where units have negative sides, those of a sample are recorded with it."""
    width, count = len(indices), indices.stop
    units = np.arange(width)
    if chosen is not None:
        units = np.unique(np.asarray(chosen, np.int64)) - indices.start
    elif params.neurons != "all":
        rng = np.random.default_rng([params.seed, NEURONS, layer])
        drawn = rng.choice(count, params.neurons, replace=False)
        units = np.sort(np.concatenate([drawn, ~drawn]) if indices.start < 0 else drawn) - indices.start
    slots = assign_splits(params.top, params.random, params.per_split)
    random = draw_random(np.random.default_rng([params.seed, RANDOM, layer]), count, slots, held_out)
    if indices.start < 0:
        other = draw_random(np.random.default_rng([params.seed, RANDOM, layer, 1]), count, slots, held_out)
        random = np.concatenate([other[::-1], random])
    border = params.top - (len(slots.where(Split.SCORE, kind=Kind.TOP)) if held_out.any() else 0)
    return LayerPlan(layer, width, units.astype(np.int32), random[units], border, indices.start)


def chosen_units(params: RecordParams, kind: UnitKind) -> dict[int, list[int]] | None:
    """Indices by layer that `record.units` names; None where it names none. Raises UserError for what is no name of this kind."""
    if params.units is None:
        return None
    names = params.units if isinstance(params.units, list) else read_names(Path(params.units))
    found: dict[int, list[int]] = {}
    for text in names:
        named = parse_name(text)
        if named is None or named.kind not in (None, kind):
            raise UserError(f"record.units holds {text!r}, expected names of {kind} such as {unit_name(5, 131, kind)}; correct it")
        found.setdefault(named.layer, []).append(named.index)
    return found


def read_names(path: Path) -> list[str]:
    """One name a line; empty lines and what follows # are left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"record.units: cannot read {path} ({error}); name a file with one unit a line, or a list") from error
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def draw_random(rng: np.random.Generator, rows: int, slots: Slots, held_out: Bool[np.ndarray, " excerpt"]) -> Int32[np.ndarray, "row slot"]:
    """Different excerpts for the random slots of each row: held-out ones for the score split, if any are, and others for the rest."""
    splits = [split for kind, split in zip(slots.kinds, slots.splits, strict=True) if kind is Kind.RANDOM]
    score = np.array([split is Split.SCORE for split in splits], np.bool_) & held_out.any()
    drawn = np.empty((rows, len(splits)), np.int32)
    for side in (False, True):
        among, places = np.flatnonzero(held_out == side), np.flatnonzero(score == side)
        drawn[:, places] = among[draw_distinct(rng, rows, len(places), len(among))]
    return drawn


def draw_distinct(rng: np.random.Generator, rows: int, count: int, among: int) -> Int32[np.ndarray, "row count"]:
    """In each row `count` different numbers below `among`, every arrangement equally likely."""
    if 2 * count > among:
        return np.argsort(rng.random((rows, among)), axis=1)[:, :count].astype(np.int32)
    drawn = np.empty((rows, count), np.int32)
    for place in range(count):
        again = np.arange(rows)
        while len(again):
            drawn[again, place] = rng.integers(0, among, len(again))
            again = again[(drawn[again, :place] == drawn[again, place, None]).any(axis=1)]
    return drawn


@dataclass(frozen=True)
class TokenTable:
    """The tokens whose mean activation is kept."""

    tokens: Int32[np.ndarray, " entry"]
    """Ascending ids."""
    counts: Int32[np.ndarray, " entry"]
    """How often each occurs in the excerpts."""

    def entries(self, tokens: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
        """Entry of each token, or -1."""
        found = np.searchsorted(self.tokens, tokens).clip(max=len(self.tokens) - 1)
        return np.where(self.tokens[found] == tokens, found, -1)


def frequent_tokens(tokens: Int32[np.ndarray, "excerpt token"], entries: int) -> TokenTable:
    """The most frequent tokens, at most `entries`; among equally frequent ones the lower ids."""
    found, counts = np.unique(tokens, return_counts=True)
    kept = np.sort(np.argsort(-counts, kind="stable")[:entries])
    return TokenTable(found[kept].astype(np.int32), counts[kept].astype(np.int32))
