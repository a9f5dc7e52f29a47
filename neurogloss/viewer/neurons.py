"""Neuron pages, a block of neighbours at a time: excerpts, histograms, tokens, scores."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from neurogloss.artifacts.recordings import Keys, Kind, Recordings, Split
from neurogloss.artifacts.simulations import OK
from neurogloss.artifacts.status import CODES
from neurogloss.viewer.encode import json_numbers, packed, spelled
from neurogloss.viewer.result import SCORES, ViewedResult, ViewedVariant, taken
from neurogloss.viewer.summary import peak_deviations

BINS = 40
TOKENS = 20
"""Of the tokens with the highest mean activation."""
SELDOM = 3
"""A token must occur so often in the corpus to be listed."""
ABSENT = 255
"""In place of a simulated level where there is none."""
LEVEL = 25
"""Steps in which a simulated level is handed on."""


def block_size(result: ViewedResult) -> int:
    """Neurons in a block, such that its file stays well under a megabyte."""
    per_neuron = len(result.shown.slots) * result.recordings.corpus.shape[1] * (1 + len(result.variants)) * 4 // 3 + 4000
    return int(max(1, min(64, 700_000 // per_neuron)))


def block(result: ViewedResult, start: int, stop: int) -> dict[str, Any]:
    """All that the pages of these page rows show, but for related neurons."""
    at, recordings, shown = result.rows[start:stop], result.recordings, result.shown
    every = np.asarray(recordings.activations[at], np.float32)  # (neuron, slot, token)
    levels = quantised(every[:, shown.slots])
    statistics = recordings.statistics.take(at).select(["mean", "variance", "skewness", "kurtosis", "firing_share", "maximum", "peak"])
    return {
        "start": start,
        "excerpts": packed(np.asarray(recordings.excerpts[at][:, shown.slots], np.int32)),
        "recorded": packed(levels.values),
        "zero": [int(z) for z in levels.zero],
        "step": [float(f"{s:.6g}") for s in levels.step],
        "statistics": {
            name: json_numbers(statistics[name].to_numpy(zero_copy_only=False).astype(float), 6) for name in statistics.column_names
        },
        "peak_deviations": json_numbers(peak_deviations(result)[at], 2),
        "histograms": histograms(recordings, every),
        "tokens": strongest_tokens(recordings, at),
        "promoted": [promoted_tokens(recordings, int(row)) for row in at],
        "attends": None if recordings.keys is None else attended(recordings.keys, at, shown.slots, every),
        "variants": [variant_block(result, variant, at) for variant in result.variants],
    }


class Quantised:
    """Activations in 255 steps per neuron; zero is exact: activation = (value - zero) * step."""

    def __init__(self, values: UInt8[np.ndarray, "neuron slot token"], zero: np.ndarray, step: np.ndarray) -> None:
        self.values, self.zero, self.step = values, zero, step


def quantised(activations: Float[np.ndarray, "neuron slot token"]) -> Quantised:
    """Spread each neuron's range over 255 steps."""
    low = np.minimum(activations.min(axis=(1, 2), initial=0), 0)
    high = np.maximum(activations.max(axis=(1, 2), initial=0), 0)
    step = np.where(high > low, (high - low) / 254, 1).astype(np.float64)
    zero = np.ceil(-low / step - 1e-6).clip(0, 255)
    values = np.rint(activations / step[:, None, None] + zero[:, None, None]).clip(0, 255)
    return Quantised(values.astype(np.uint8), zero, step)


def histograms(recordings: Recordings, every: Float[np.ndarray, "neuron slot token"]) -> list[dict[str, Any]]:
    """Per neuron: counts of token activations in the random and in the top excerpts, over the same bins."""
    groups = [recordings.slots.where(*Split, kind=kind) for kind in (Kind.RANDOM, Kind.TOP)]
    low, high = every.min(axis=(1, 2), initial=0), every.max(axis=(1, 2), initial=0)
    width = np.where(high > low, high - low, 1)
    count = len(every)
    bins = ((every - low[:, None, None]) * (BINS / width)[:, None, None]).astype(np.int16).clip(0, BINS - 1)
    bins += 0
    counts = []
    for slots in groups:
        flat = bins[:, slots].reshape(count, -1) + (np.arange(count, dtype=np.int32) * BINS)[:, None]
        counts.append(np.bincount(flat.ravel(), minlength=count * BINS).reshape(count, BINS).tolist())
    return [
        {"low": float(f"{low[n]:.5g}"), "high": float(f"{low[n] + width[n]:.5g}"), "random": counts[0][n], "top": counts[1][n]}
        for n in range(count)
    ]


def strongest_tokens(recordings: Recordings, at: Int[np.ndarray, " row"]) -> list[list[list[Any]]]:
    """Per neuron the tokens with the highest mean activation: text, mean, how often it occurs in the corpus."""
    known = np.flatnonzero(recordings.table_counts >= SELDOM)
    if not len(known):
        return [[] for _ in at]
    means = np.asarray(recordings.token_means[at], np.float32)[:, known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # float16 NaN payloads
        means = np.where(np.isfinite(means), means, -np.inf)
    kept = min(TOKENS, len(known))
    first = np.argpartition(-means, kept - 1, axis=1)[:, :kept]
    found = []
    for neuron, entries in enumerate(first):
        order = entries[np.argsort(-means[neuron, entries], kind="stable")]
        found.append(
            [
                [
                    spelled(recordings.vocabulary[recordings.table_tokens[known[e]]]),
                    float(f"{means[neuron, e]:.4g}"),
                    int(recordings.table_counts[known[e]]),
                ]
                for e in order
                if means[neuron, e] > 0
            ]
        )
    return found


def promoted_tokens(recordings: Recordings, row: int) -> list[list[list[Any]]]:
    """Tokens that a unit promotes and suppresses, with what it does to their logits; empty where that is not known."""
    if recordings.promoted is None:
        return [[], []]
    ids, logits = recordings.promoted.tokens[row], recordings.promoted.logits[row]
    return [
        [[spelled(recordings.vocabulary[token]), float(f"{value:.3g}")] for token, value in zip(*pair, strict=True) if token >= 0]
        for pair in zip(ids, logits, strict=True)
    ]


def attended(
    keys: Keys, at: Int[np.ndarray, " row"], slots: Int[np.ndarray, " shown"], every: Float[np.ndarray, "neuron slot token"]
) -> dict[str, Any]:
    """Of heads, per shown excerpt: the strongest token, the tokens it reads, and the share of each in what the first of them gives."""
    shares = keys.shares(keys.norms[at][:, slots])
    return {
        "kept": int(shares.shape[2]),
        "queries": packed(every[:, slots].argmax(axis=2).astype(np.int32)),
        "places": packed(np.asarray(keys.places[at][:, slots]).astype(np.int32)),
        "shares": packed(np.rint(255 * shares).astype(np.uint8)),
    }


def variant_block(result: ViewedResult, variant: ViewedVariant, at: Int[np.ndarray, " row"]) -> dict[str, Any]:
    """One variant of these neurons: simulated levels, scores, candidates."""
    return {
        "simulated": packed(simulated(result, variant, at)),
        "faults": faults(result, variant, at),
        "statuses": [int(s) for s in variant.statuses[at]],
        "texts": variant.texts(at),
        "scores": {name: json_numbers(variant.scores[name][at]) for name in SCORES},
        "revisions": [revised(result, variant, int(row)) for row in at],
        "candidates": [
            [[c["text"], c["status"], c["select_score"]] for c in (row or [])]
            for row in taken(variant.explanations["candidates"], variant.explanation_rows[at])
        ],
        **({"senses": [senses(result, variant, int(row)) for row in at]} if variant.singles else {}),
    }


def senses(result: ViewedResult, variant: ViewedVariant, row: int) -> dict[str, Any] | None:
    """Several senses of a neuron with their scores, the sentence that they replaced, and which one each shown excerpt is."""
    found = variant.senses[row]
    if not found or row not in variant.singles:
        return None
    text, score = variant.singles[row]
    return {
        "list": [
            [
                one["text"],
                round(one["share"], 4),
                *json_numbers(np.array([one[key] for key in ("score", "ci_low", "ci_high")], float)),
                one["status"],
            ]
            for one in found
        ],
        "single": [text, *json_numbers(np.array([score], float))],
        "at": [sense_of(result, variant, row, slot) for slot in result.shown.slots.tolist()],
    }


def sense_of(result: ViewedResult, variant: ViewedVariant, row: int, slot: int) -> int | None:
    """Which sense predicts most of the strongest token of an excerpt; None where none does, or nothing was simulated."""
    place, known = variant.place(slot), variant.simulations.senses
    if place is None or known is None:
        return None
    return known.strongest(int(variant.simulation_rows[row]), place, int(np.asarray(result.recordings.activations[row, slot]).argmax()))


def revised(result: ViewedResult, variant: ViewedVariant, row: int) -> list[dict[str, Any]]:
    """The rounds of revision of a neuron: what it was tested on, what that showed and what came of it."""
    recordings = result.recordings
    peak = recordings.peaks[row] if not np.isnan(recordings.peaks[row]) else 1.0
    return [
        {
            "before": one.before,
            "after": one.after.text,
            "status": str(one.after.status),
            "kept": one.kept,
            "method": one.method,
            "select": [one.select_before, one.after.select_score],
            "generated": [one.generated_before, one.generated_after],
            "evidence": [
                [
                    [spelled(piece) for piece in text.pieces],
                    [round(float(min(1.0, max(0.0, value / peak))), 3) for value in text.activations],
                    text.expected,
                    text.fired,
                    text.shown,
                ]
                for text in one.evidence
            ],
        }
        for one in variant.revisions.get((int(recordings.layers[row]), int(recordings.indices[row])), [])
    ]


def simulated(result: ViewedResult, variant: ViewedVariant, at: Int[np.ndarray, " row"]) -> UInt8[np.ndarray, "neuron shown token"]:
    """Simulated levels in steps of 1/25, ABSENT where there is none."""
    shown = result.shown.slots
    values = np.full((len(at), len(shown), result.recordings.corpus.shape[1]), ABSENT, np.uint8)
    rows = variant.simulation_rows[at]
    there = np.flatnonzero(rows >= 0)
    for position, slot in enumerate(shown):
        place = variant.place(int(slot))
        if place is None or not len(there):
            continue
        levels = np.asarray(variant.simulations.levels[rows[there], place], np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # float16 NaN payloads
            values[there, position] = np.where(np.isfinite(levels), np.rint(levels.clip(0, 10) * LEVEL), ABSENT).astype(np.uint8)
    return values


def faults(result: ViewedResult, variant: ViewedVariant, at: Int[np.ndarray, " row"]) -> list[dict[str, str]]:
    """Per neuron the shown excerpts whose simulation failed, with the status."""
    rows = variant.simulation_rows[at]
    found: list[dict[str, str]] = [{} for _ in at]
    for position, slot in enumerate(result.shown.slots):
        place = variant.place(int(slot))
        if place is None:
            continue
        for neuron in np.flatnonzero((rows >= 0) & (variant.simulations.status[rows.clip(min=0), place] != OK)):
            found[neuron][str(position)] = str(CODES[variant.simulations.status[rows[neuron], place]])
    return found
