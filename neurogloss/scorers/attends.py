"""attends: does a head's explanation say which earlier token it reads from which? Pairs of a query and a key of held-out excerpts.

A pair's value is the norm of what the head writes at the query for the key. Strong pairs are those with a share of the strongest pair of
the explain split, at most PER_EXCERPT of an excerpt; weak ones are drawn from all pairs of the same excerpts that the head hardly reads,
each as far apart as a strong one: so distance alone tells nothing. A language model rates each pair by the sentence (classify.py).
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.config.prompts import AttendsPrompt, fill
from neurogloss.errors import UserError
from neurogloss.scorers.classification import Shown, plain
from neurogloss.scorers.classify import Pairs

ReadPairs = Callable[[Int[np.ndarray, " slot"]], Float[np.ndarray, "head slot query key"]]
"""Gives the values of all pairs of each head on the excerpts of these slots."""
PER_EXCERPT = 3
Places = Int[np.ndarray, "pair 3"]
"""Slot, query and key of each pair."""


def attended(recordings: Recordings, prompt: AttendsPrompt, seed: int, read: ReadPairs) -> list[Pairs]:
    """For each head the pairs that are asked about, the same for every sentence; UserError for units that are no heads."""
    if recordings.keys is None:
        raise UserError(f"score.scorers: attends is for heads, these recordings are of {recordings.noun.many}; take it out")
    slots = recordings.slots.where(Split.SCORE)
    peaks = np.asarray(recordings.keys.norms, np.float64)[:, recordings.slots.where(Split.EXPLAIN)].max(axis=(1, 2))
    values = read(slots)
    found = []
    for row in range(len(recordings)):
        own = (seed, int(recordings.layers[row]), int(recordings.indices[row]))
        chosen = choose(np.asarray(values[row], np.float64) / peaks[row], prompt, np.random.default_rng(own)) if peaks[row] > 0 else []
        pieces = [[recordings.vocabulary[token] for token in ids] for ids in recordings.tokens(row, slots)]
        shown = [Shown(marked(pieces[slot], query, key, prompt), reads) for reads, part in chosen for slot, query, key in part.tolist()]
        found.append(Pairs(shown, own))
    return found


def read_pairs(recordings: Recordings, slots: Int[np.ndarray, " slot"]) -> Float[np.ndarray, "head slot query key"]:
    """What each head writes for every pair of tokens of these excerpts: the subject that was recorded runs."""
    from neurogloss.subject.attention import pairs_of
    from neurogloss.subject.recorded import load_recorded

    excerpts = np.asarray(recordings.excerpts)[:, slots]
    return pairs_of(load_recorded(recordings), recordings.corpus, recordings.layers, recordings.indices, excerpts)


def choose(shares: Float[np.ndarray, "slot query key"], prompt: AttendsPrompt, rng: np.random.Generator) -> list[tuple[bool, Places]]:
    """Strong pairs and as many weak ones of the same distances; nothing where there are fewer than the prompt wants of either."""
    strong = strongest(shares, prompt)
    slots, queries, keys = np.nonzero((shares < prompt.weak_below) & np.tri(shares.shape[1], dtype=bool))
    if len(strong) < prompt.pairs or len(slots) < prompt.pairs:
        return []
    free: Bool[np.ndarray, " pair"] = np.ones(len(slots), bool)
    weak = []
    for distance in (strong[:, 1] - strong[:, 2]).tolist():
        off = np.where(free, np.abs(queries - keys - distance), shares.size)
        pick = rng.choice(np.flatnonzero(off == off.min()))
        free[pick] = False
        weak.append((slots[pick], queries[pick], keys[pick]))
    return [(True, strong), (False, np.array(weak))]


def strongest(shares: Float[np.ndarray, "slot query key"], prompt: AttendsPrompt) -> Places:
    """The strongest key of each query, the strongest pairs first, at most PER_EXCERPT of an excerpt and `pairs` in all."""
    keys = shares.argmax(axis=2)
    best = np.take_along_axis(shares, keys[..., None], axis=2)[..., 0]
    taken = np.zeros(len(shares), np.int64)
    found: list[tuple[int, int, int]] = []
    for place in np.argsort(-best, axis=None, kind="stable").tolist():
        slot, query = divmod(place, shares.shape[1])
        if best[slot, query] < prompt.strong_from or len(found) == prompt.pairs:
            break
        if taken[slot] < PER_EXCERPT:
            taken[slot] += 1
            found.append((slot, query, int(keys[slot, query])))
    return np.array(found, np.int64).reshape(-1, 3)


def marked(pieces: list[bytes], query: int, key: int, prompt: AttendsPrompt) -> str:
    """The text up to the query with both tokens marked; what looks like a mark in the text itself gets a backslash.

    A head has read nothing behind the query.
    """
    marks = {part for mark in (prompt.query, prompt.key) for part in mark.split("{token}") if part}
    parts, start = [], 0
    for place in (*sorted({query, key}), len(pieces)):
        parts.append(escaped(b"".join(pieces[start : min(place, query + 1)]), marks))
        if place in (query, key):
            text = escaped(pieces[place], marks)
            blank = " " if text.startswith(" ") else ""
            text = fill(prompt.key, token=text[len(blank) :]) if place == key else text[len(blank) :]
            parts.append(blank + (fill(prompt.query, token=text) if place == query else text))
            start = place + 1
    return "".join(parts)


def escaped(text: bytes, marks: set[str]) -> str:
    """On one line, a backslash before each mark."""
    found = plain([text])
    for mark in marks:
        found = found.replace(mark, "\\" + mark)
    return found
