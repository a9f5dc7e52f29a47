"""concepts: out of a bank of phrases, those whose levels fit the neuron best, as the `vocabulary` simulator would give them.

Beside the phrases of the bank each neuron has some of its own, which name words: those on which it fires in several excerpts, so that a
phrase that predicts too much or too little is narrowed to words, joined by some, or dropped for them.

What the simulator says depends on the token alone, so a fit needs only, per neuron and token, how often the token stands in the
excerpts that may be looked at and how strongly the neuron fires there. Correlations of all phrases with a block of neurons are
three matrix products; combinations are then sought greedily among each neuron's best single phrases. The score split takes no part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float16, Float32, Float64, Int, Int32
from tqdm import tqdm

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.recordings import OPEN_SPLITS, Kind, Recordings
from neurogloss.artifacts.status import Status
from neurogloss.config.explain import ConceptsParams
from neurogloss.parallel import map_shards
from neurogloss.phrases.bank import read_bank
from neurogloss.phrases.levels import PhraseLevels
from neurogloss.phrases.quoted import naming

BLOCK = 256
"""Neurons fitted at a time."""
NAMED = 24
"""The best single words, among which those to name are sought."""
ALONE = 8
"""Of these, so many may be named by themselves."""


@dataclass(frozen=True)
class FitInputs:
    """What fitting needs besides the neurons."""

    levels: Float32[np.ndarray, "phrase entry"]
    """Of each phrase of the bank on each distinct token of the corpus."""
    entries: Int32[np.ndarray, "excerpt token"]
    """Which of the distinct tokens each token of the corpus is."""
    weights: Float64[np.ndarray, " token"]
    """Weight of each token of a neuron's excerpts, one excerpt after the other. They sum to 1."""
    variants: Int[np.ndarray, " entry"]
    """Which of the distinct words each distinct token is: tokens that differ in case and blanks alone are one word."""
    words: list[str]
    """The distinct words."""
    speakable: Bool[np.ndarray, " word"]
    """Those that a phrase may name."""
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


class Own(NamedTuple):
    """Phrases that only one neuron has."""

    sets: list[list[list[int]]]
    """Of each neuron the words that each of its phrases names."""
    variants: Int[np.ndarray, " entry"]

    def levels(self, neuron: int, entries: Int[np.ndarray, " used"]) -> Float32[np.ndarray, "phrase used"]:
        """10 on the words that are named, 0 elsewhere."""
        found = [np.isin(self.variants[entries], words) for words in self.sets[neuron]]
        return 10 * np.array(found, np.float32).reshape(len(found), len(entries))


def explain_concepts(recordings: Recordings, phrase_levels: PhraseLevels, params: ConceptsParams) -> list[Candidate]:
    """One candidate per neuron, in order; `silent_neuron` where the neuron never fires, `no_explanation` where no phrase fits."""
    bank = read_bank(params.bank)
    slots, weights = fitted_on(recordings)
    words, variants = np.unique(np.array(phrase_levels.entries.texts, dtype=object).astype(str), return_inverse=True)
    entries = phrase_levels.entries.of(recordings.corpus).astype(np.int32)
    shared = FitInputs(
        phrase_levels.levels(bank), entries, weights, variants, words.tolist(), np.array([speakable(word) for word in words], bool), params
    )
    found: list[Candidate] = []
    with tqdm(total=len(recordings), desc="fitting concepts", unit=recordings.noun.one, delay=1, leave=False) as bar:
        for picked in map_shards(fit_block, shared, blocks(recordings, slots)):
            texts = [[bank[one] if isinstance(one, int) else one for one in several] for several in picked]
            found += [candidate(bool(recordings.silent[len(found) + place]), several) for place, several in enumerate(texts)]
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


def fit_block(shared: FitInputs, block: OpenExcerpts) -> list[list[int | str]]:
    """Phrases of each neuron of a block: numbers of the bank's, and the text of one of its own."""
    weighted = weigh(shared, block)
    own = [word_sets(shared, excerpts, weighted, neuron) for neuron, excerpts in enumerate(block.excerpts)]
    picked = fit(shared.levels, weighted, shared.params, Own(own, shared.variants))
    count = len(shared.levels)
    return [
        [one if one < count else named_words([shared.words[word] for word in sets[one - count]]) for one in several]
        for several, sets in zip(picked, own, strict=True)
    ]


def named_words(words: list[str]) -> str:
    """A phrase that names them.

    >>> named_words(["of"]), named_words(["of", "in"])
    ('the word "of"', 'the words "of", "in"')
    """
    return naming("word" if len(words) == 1 else "words", words)


def word_sets(shared: FitInputs, excerpts: Int32[np.ndarray, " slot"], weighted: Weighted, neuron: int) -> list[list[int]]:
    """Words that a phrase of this neuron's own may name: the best one, the best two and so on, then some others by themselves."""
    params, count = shared.params, len(shared.words)
    if not params.words:
        return []
    mass, sums = (np.bincount(shared.variants, column[neuron], count) for column in (weighted.counts, weighted.sums))
    at = shared.variants[shared.entries[excerpts]]  # (slot, token)
    pairs = np.unique(np.arange(len(at))[:, None] * count + at)
    often = np.bincount(pairs % count, minlength=count) >= params.occurrences
    usable = np.flatnonzero(often & (sums > 0) & shared.speakable)
    usable = usable[np.argsort(-sums[usable] / np.sqrt(mass[usable]), kind="stable")][:NAMED]
    nested = grow(mass[usable], sums[usable], params.words)
    sets = [[int(usable[place]) for place in nested[:size]] for size in range(1, len(nested) + 1)]
    return sets + [[int(word)] for word in usable[:ALONE] if [int(word)] not in sets]


def grow(mass: Float64[np.ndarray, " word"], sums: Float64[np.ndarray, " word"], most: int) -> list[int]:
    """Take the word whose joining raises the correlation of the set most, as long as one does."""
    taken: list[int] = []
    weight, total, best = 0.0, 0.0, 0.0
    for _ in range(min(most, len(mass))):
        joined = np.clip(weight + mass, 1e-12, 1 - 1e-12)
        correlation = (total + sums) / np.sqrt(joined - joined**2)
        correlation[taken] = -np.inf
        choice = int(correlation.argmax())
        if correlation[choice] <= best:
            break
        weight, total, best = weight + float(mass[choice]), total + float(sums[choice]), float(correlation[choice])
        taken.append(choice)
    return taken


def speakable(word: str) -> bool:
    """Whether a reader can see which word is meant: no blank, no half character.

    >>> speakable("of"), speakable(")"), speakable(" "), speakable("\ufffd")
    (True, True, False, False)
    """
    return word.strip() != "" and word.isprintable() and "\ufffd" not in word


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


def fit(
    levels: Float32[np.ndarray, "phrase entry"],
    weighted: Weighted,
    params: ConceptsParams,
    own: Own | None = None,
) -> list[list[int]]:
    """Phrases of each neuron, in the order in which they were taken. Empty where nothing correlates above zero.

    Of its `own` a neuron takes one at most; they are numbered after the others.
    """
    means = levels @ weighted.counts.T  # (phrase, entry) x (entry, neuron) -> (phrase, neuron)
    covariances = levels @ weighted.sums.T
    variances = np.maximum(np.square(levels) @ weighted.counts.T - means**2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        single = np.where(variances > 1e-9, covariances / np.sqrt(variances), -np.inf)
    picked = []
    for neuron in range(single.shape[1]):
        short = shortlist(single[:, neuron], params.shortlist)
        used = np.flatnonzero(weighted.counts[neuron])
        mine = own.levels(neuron, used) if own else levels[:0, used]
        several = np.concatenate([levels[np.ix_(short, used)], mine])
        numbers = np.concatenate([short, len(levels) + np.arange(len(mine))])
        correlates = np.concatenate([covariances[short, neuron], mine @ weighted.sums[neuron, used]])
        taken = greedy(several, weighted.counts[neuron, used], correlates, params.phrases, exclusive=len(short))
        picked.append([int(numbers[one]) for one in taken])
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
    exclusive: int | None = None,
) -> list[int]:
    """Take the phrase that correlates best, then each time the one whose joining raises the correlation of the mean most, if any does.

    Of the phrases from `exclusive` on one is taken at most.
    """
    means = levels @ counts
    between = (levels * counts) @ levels.T - np.outer(means, means)
    taken: list[int] = []
    covariance, variance, best = 0.0, 0.0, 0.0
    cross = np.zeros(len(levels))
    for _ in range(min(phrases, len(levels))):
        joined = np.maximum(variance + 2 * cross + np.diag(between), 1e-12)
        correlation = (covariance + covariances) / np.sqrt(joined)
        correlation[taken] = -np.inf
        if exclusive is not None and any(one >= exclusive for one in taken):
            correlation[exclusive:] = -np.inf
        choice = int(correlation.argmax())
        if correlation[choice] <= best:
            break
        covariance, variance, best = covariance + float(covariances[choice]), float(joined[choice]), float(correlation[choice])
        cross = cross + between[choice]
        taken.append(choice)
    return taken
