"""concepts: out of a bank of phrases, those whose levels fit the neuron best, as the `vocabulary` simulator would give them.

What the simulator says depends on the token alone, so a fit needs only, per neuron and token, how often the token stands in the
excerpts that may be looked at and how strongly the neuron fires there. Correlations of all phrases with a block of neurons are
three matrix products; combinations are then sought greedily among each neuron's best single phrases. The score split takes no part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float16, Float32, Float64, Int, Int32
from tqdm import tqdm

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.recordings import OPEN_SPLITS, Kind, Recordings
from neurogloss.artifacts.status import Status
from neurogloss.config.explain import ConceptsParams
from neurogloss.parallel import map_shards
from neurogloss.phrases.bank import read_bank
from neurogloss.phrases.levels import PhraseLevels

BLOCK = 256
"""Neurons fitted at a time."""


@dataclass(frozen=True)
class FitInputs:
    """What fitting needs besides the neurons."""

    levels: Float32[np.ndarray, "phrase entry"]
    """Of each phrase of the bank on each distinct token of the corpus."""
    entries: Int32[np.ndarray, "excerpt token"]
    """Which of the distinct tokens each token of the corpus is."""
    weights: Float64[np.ndarray, " token"]
    """Weight of each token of a neuron's excerpts, one excerpt after the other. They sum to 1."""
    params: ConceptsParams


class OpenExcerpts(NamedTuple):
    """The excerpts of some neurons that may be looked at."""

    excerpts: Int32[np.ndarray, "neuron slot"]
    activations: Float16[np.ndarray, "neuron slot token"]


@dataclass(frozen=True)
class Weighted:
    """What a fit needs of some neurons: weighted sums over the tokens of their excerpts. The weights of a neuron sum to 1."""

    counts: Float32[np.ndarray, "neuron entry"]
    """Weight of each token."""
    sums: Float32[np.ndarray, "neuron entry"]
    """Weight times centred activation, summed over each token."""
    deviations: Float64[np.ndarray, " neuron"]
    """Weighted standard deviation of the activation."""


def explain_concepts(recordings: Recordings, phrase_levels: PhraseLevels, params: ConceptsParams) -> list[Candidate]:
    """One candidate per neuron, in order; `silent_neuron` where the neuron never fires, `no_explanation` where no phrase fits."""
    bank = read_bank(params.bank)
    slots, weights = fitted_on(recordings)
    shared = FitInputs(phrase_levels.levels(bank), phrase_levels.entries.of(recordings.corpus).astype(np.int32), weights, params)
    found: list[Candidate] = []
    with tqdm(total=len(recordings), desc="fitting concepts", unit="neuron", delay=1, leave=False) as bar:
        for picked in map_shards(fit_block, shared, blocks(recordings, slots)):
            found += [candidate(bool(recordings.silent[len(found) + place]), [bank[i] for i in one]) for place, one in enumerate(picked)]
            bar.update(len(picked))
    return found


def candidate(silent: bool, phrases: list[str]) -> Candidate:
    """The sentence of one neuron: its phrases, the best first."""
    if silent:
        return Candidate(None, Status.SILENT)
    return Candidate("; ".join(phrases), Status.OK) if phrases else Candidate(None, Status.NO_EXPLANATION)


def fitted_on(recordings: Recordings) -> tuple[Int[np.ndarray, " slot"], Float64[np.ndarray, " token"]]:
    """The slots that may be fitted on, and the weight of each of their tokens. Top and random ones weigh half each, as in the score."""
    parts = [part for kind in Kind if len(part := recordings.slots.where(*OPEN_SPLITS, kind=kind))]
    length = recordings.corpus.shape[1]
    weights = np.concatenate([np.full(len(part), 1 / len(parts) / len(part)) for part in parts]).repeat(length)
    return np.concatenate(parts), weights / length


def blocks(recordings: Recordings, slots: Int[np.ndarray, " slot"]) -> Iterator[OpenExcerpts]:
    """All neurons, some at a time."""
    for start in range(0, len(recordings), BLOCK):
        part = slice(start, start + BLOCK)
        yield OpenExcerpts(np.asarray(recordings.excerpts[part][:, slots]), np.asarray(recordings.activations[part][:, slots]))


def fit_block(shared: FitInputs, block: OpenExcerpts) -> list[list[int]]:
    """Phrases of each neuron of a block."""
    return fit(shared.levels, weigh(shared, block), shared.params)


def weigh(shared: FitInputs, block: OpenExcerpts) -> Weighted:
    """Gather how often and how strongly each neuron fires on each distinct token."""
    shape = len(block.excerpts), shared.levels.shape[1]
    counts, sums, deviations = np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape[0])
    for neuron, excerpts in enumerate(block.excerpts):
        at = shared.entries[excerpts].ravel()
        activations = block.activations[neuron].astype(np.float64).ravel()
        activations -= shared.weights @ activations
        counts[neuron] = np.bincount(at, shared.weights, shape[1])
        sums[neuron] = np.bincount(at, shared.weights * activations, shape[1])
        deviations[neuron] = np.sqrt(shared.weights @ activations**2)
    return Weighted(counts, sums, deviations)


def fit(levels: Float32[np.ndarray, "phrase entry"], weighted: Weighted, params: ConceptsParams) -> list[list[int]]:
    """Phrases of each neuron, in the order in which they were taken. Empty where nothing correlates above zero."""
    means = levels @ weighted.counts.T  # (phrase, entry) x (entry, neuron) -> (phrase, neuron)
    covariances = levels @ weighted.sums.T
    variances = np.maximum(np.square(levels) @ weighted.counts.T - means**2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        single = np.where(variances > 1e-9, covariances / np.sqrt(variances), -np.inf)
    picked = []
    for neuron in range(single.shape[1]):
        short = shortlist(single[:, neuron], params.shortlist)
        used = np.flatnonzero(weighted.counts[neuron])
        picked.append(
            [
                int(short[i])
                for i in greedy(levels[np.ix_(short, used)], weighted.counts[neuron, used], covariances[short, neuron], params.phrases)
            ]
        )
    return picked


def shortlist(scores: Float32[np.ndarray, " phrase"], size: int) -> Int[np.ndarray, " phrase"]:
    """The best phrases, best first; of equal ones the earlier in the bank."""
    best = np.argpartition(-scores, min(size, len(scores)) - 1)[:size]
    best = best[np.lexsort((best, -scores[best]))]
    return best[scores[best] > 0]


def greedy(
    levels: Float32[np.ndarray, "phrase entry"],
    counts: Float32[np.ndarray, " entry"],
    covariances: Float32[np.ndarray, " phrase"],
    phrases: int,
) -> list[int]:
    """Take the phrase that correlates best, then each time the one whose joining raises the correlation of the mean most, if any does."""
    means = levels @ counts
    between = (levels * counts) @ levels.T - np.outer(means, means)
    taken: list[int] = []
    covariance, variance, best = 0.0, 0.0, 0.0
    cross = np.zeros(len(levels))
    for _ in range(min(phrases, len(levels))):
        joined = np.maximum(variance + 2 * cross + np.diag(between), 1e-12)
        correlation = (covariance + covariances) / np.sqrt(joined)
        correlation[taken] = -np.inf
        choice = int(correlation.argmax())
        if correlation[choice] <= best:
            break
        covariance, variance, best = covariance + float(covariances[choice]), float(joined[choice]), float(correlation[choice])
        cross = cross + between[choice]
        taken.append(choice)
    return taken
