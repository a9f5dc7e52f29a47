"""What a revision is shown: proposed sentences that the subject read, or recorded excerpts, never of the select or score split."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from neurogloss.artifacts.recordings import Kind, Recordings, Split
from neurogloss.artifacts.revisions import Evidence
from neurogloss.measures.levels import TOP, levels
from neurogloss.refining.proposals import Proposal
from neurogloss.simulators.result import Simulate
from neurogloss.subject.sentences import ReadSentences, Sentence

SHOWN_SPLITS = (Split.FIT, Split.CALIBRATE)
"""Where recorded excerpts come from: the surplus, else the calibrate split."""


def firing_threshold(recordings: Recordings, row: int) -> float:
    """A text fires where its maximum reaches this: the weakest maximum of the explain split, but no less than level 1."""
    maxima = np.asarray(recordings.activations[row, recordings.slots.where(Split.EXPLAIN)], np.float64).max(axis=1)
    return max(float(maxima.min()), float(recordings.peaks[row]) / TOP)


def from_sentences(
    recordings: Recordings, rows: Sequence[int], proposed: Sequence[list[Proposal]], read: ReadSentences
) -> list[tuple[Evidence, ...]]:
    """Each unit's sentences as the subject reads them; of either sort the first, third and so on are shown, the others held out."""
    units = [(int(recordings.layers[row]), int(recordings.indices[row])) for row in rows]
    asked = [Sentence(*unit, one.text) for unit, several in zip(units, proposed, strict=True) for one in several]
    heard = iter(read(asked) if asked else [])
    found = []
    for row, several in zip(rows, proposed, strict=True):
        threshold, count, evidence = firing_threshold(recordings, row), {True: 0, False: 0}, []
        for one in several:
            pieces, activations = next(heard)
            if not pieces:
                continue
            shown = count[one.expected] % 2 == 0
            count[one.expected] += 1
            evidence.append(Evidence(pieces, activations, one.expected, max(activations) >= threshold, shown))
        found.append(tuple(evidence))
    return found


def pool(recordings: Recordings, kind: Kind | None = None) -> Int[np.ndarray, " slot"]:
    """Slots of recorded excerpts that may be shown."""
    found = [slots for split in SHOWN_SPLITS if len(slots := recordings.slots.where(split, kind=kind))]
    return found[0] if found else np.empty(0, np.int64)


def random_excerpts(recordings: Recordings, rows: Sequence[int], count: int, seed: int, round_: int) -> list[tuple[Evidence, ...]]:
    """So many excerpts of each unit that were drawn at random, others in each round."""
    slots = pool(recordings, Kind.RANDOM)
    found = []
    for row in rows:
        unit = int(recordings.layers[row]), int(recordings.indices[row]) + 2**31
        drawn = np.random.default_rng([seed, *unit, round_]).permutation(slots)[:count]
        found.append(tuple(recorded(recordings, row, int(slot), None) for slot in np.sort(drawn)))
    return found


def wrong_excerpts(
    recordings: Recordings, rows: Sequence[int], texts: Sequence[str], count: int, mark_from: int, simulate: Simulate
) -> list[tuple[Evidence, ...]]:
    """So many excerpts of each unit, half of them where the explanation predicts most and the unit is silent, half the reverse."""
    slots = pool(recordings)
    simulated = simulate(np.array(rows), slots, list(texts)).levels
    found = []
    for row, predicted in zip(rows, simulated, strict=True):
        expected = np.nan_to_num(predicted.astype(np.float64).max(axis=1))
        actual = levels(np.asarray(recordings.activations[row, slots]), float(recordings.peaks[row])).max(axis=1).astype(np.float64)
        chosen = np.concatenate([worst(expected - actual, count // 2), worst(actual - expected, count - count // 2)])
        found.append(tuple(recorded(recordings, row, int(slots[at]), bool(expected[at] >= mark_from)) for at in chosen))
    return found


def worst(errors: Float[np.ndarray, " slot"], count: int) -> Int[np.ndarray, " slot"]:
    """Places of the largest errors above zero, the largest first."""
    order = np.argsort(-errors, kind="stable")[:count]
    return order[errors[order] > 0]


def recorded(recordings: Recordings, row: int, slot: int, expected: bool | None) -> Evidence:
    """A recorded excerpt."""
    activations = np.asarray(recordings.activations[row, slot], np.float64)
    pieces = tuple(recordings.vocabulary[token] for token in recordings.tokens(row, np.array([slot]))[0])
    return Evidence(pieces, tuple(activations.tolist()), expected, bool(activations.max() >= firing_threshold(recordings, row)), True)
