"""What is to be recorded, settled before the first forward pass: neurons, random excerpts, tokens that get a mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Int32

from neurogloss.artifacts.recordings import Kind, Slots, Split, assign_splits
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
    """The neurons of one layer that are recorded, and their random excerpts."""

    layer: int
    width: int
    neurons: Int32[np.ndarray, " neuron"]
    """Ascending."""
    random: Int32[np.ndarray, "neuron slot"]
    """Excerpts drawn before anything is seen."""
    border: int
    """So many of the strongest excerpts are kept of those that are not held out; the rest of the top places is for the held-out ones."""


def excerpt_rng(seed: int) -> np.random.Generator:
    """The stream that draws excerpts."""
    return np.random.default_rng([seed, EXCERPTS])


def plan_layers(params: RecordParams, widths: Sequence[int], held_out: Bool[np.ndarray, " excerpt"]) -> list[LayerPlan]:
    """Choose layers, neurons and random excerpts; a layer's draw depends on nothing but the seed and its own place.

    Raises UserError with every problem of the params.
    """
    layers = [layer for layer, width in enumerate(widths) if width] if params.layers == "all" else list(params.layers)
    problems = [f"record.layers names layer {layer} twice" for layer in sorted({x for x in layers if layers.count(x) > 1})]
    wrong = [layer for layer in layers if layer >= len(widths)]
    problems += [f"record.layers names {wrong}, the subject has layers 0 to {len(widths) - 1}"] if wrong else []
    without = [layer for layer in layers if layer < len(widths) and not widths[layer]]
    problems += [f"record.layers names {without}, which have no neurons at subject.site; leave them out"] if without else []
    problems += [] if layers else ["record.layers is empty; name layers or write all"]
    if params.neurons != "all":
        problems += [
            f"record.neurons asks for {params.neurons} neurons of layer {layer}, which has {widths[layer]}"
            for layer in layers
            if layer < len(widths) and params.neurons > widths[layer] > 0
        ]
    if params.top + params.random > params.excerpts:
        problems.append(f"record.top + record.random is {params.top + params.random}, more than the {params.excerpts} excerpts")
    if problems:
        raise UserError("; ".join(problems))
    return [plan_layer(params, layer, widths[layer], held_out) for layer in sorted(layers)]


def plan_layer(params: RecordParams, layer: int, width: int, held_out: Bool[np.ndarray, " excerpt"]) -> LayerPlan:
    """One layer's neurons and their random excerpts."""
    neurons = np.arange(width)
    if params.neurons != "all":
        rng = np.random.default_rng([params.seed, NEURONS, layer])
        neurons = np.sort(rng.choice(width, params.neurons, replace=False))
    slots = assign_splits(params.top, params.random, params.per_split)
    random = draw_random(np.random.default_rng([params.seed, RANDOM, layer]), width, slots, held_out)
    border = params.top - (len(slots.where(Split.SCORE, kind=Kind.TOP)) if held_out.any() else 0)
    return LayerPlan(layer, width, neurons.astype(np.int32), random[neurons], border)


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
