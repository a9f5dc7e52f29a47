"""Senses: an explanation of one sentence becomes several with shares, where these predict the select split better.

They must do better together than the one sentence, and than any of them by itself.

A language model that explains is asked which kinds of things the numbered explain excerpts are of. Any other explanation is cut into its
phrases, grouped by the explain excerpts on whose strongest token each predicts most. The share of a sense is its part of the explain
excerpts' strongest activations.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.explanations import Sense, whole
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import Status
from neurogloss.config.params import Params
from neurogloss.config.prompts import ExplainPrompt
from neurogloss.llm.client import OpenClient
from neurogloss.measures.correlation import correlation
from neurogloss.phrases.quoted import phrases
from neurogloss.refining.choosing import select_scores, unpaid
from neurogloss.refining.senses_prompt import ask
from neurogloss.simulators.result import Simulate
from neurogloss.simulators.senses import by_senses

TIE = 1e-9
"""By less a score is not better: it is rounding."""

Named = Sequence[tuple[str, Sequence[int]]]
"""Sentences, each with the places of the explain excerpts that it accounts for."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of looking for the senses of a unit."""

    single: Candidate
    """The one sentence, with its score on the select split where there are several senses."""
    status: Status = Status.OK
    """Of the language model's answer."""
    senses: tuple[Sense, ...] = ()
    """At least two, the one with the largest share first; else none."""
    score: float | None = None
    """Of the senses together on the select split."""
    alone: tuple[float, ...] = ()
    """Of each sense by itself there, where it has a score."""

    @property
    def kept(self) -> bool:
        """Whether the senses replace the one sentence: together they are better than it, and than any of them by itself."""
        single = self.single.select_score
        return single is not None and self.score is not None and self.score > max(single, *self.alone) + TIE

    @property
    def candidate(self) -> Candidate:
        """The senses as one text."""
        return Candidate(whole(self.senses), Status.OK, self.score)


def find_senses(
    recordings: Recordings, kept: Mapping[int, Candidate], params: Params, simulate: Simulate, opened: OpenClient
) -> dict[int, Trial]:
    """Look for the senses of the units of these rows, whose best sentences these are, and compare them with the one sentence.

    UserError where more answers failed than `limits.max_failed_share` allows.
    """
    rows = sorted(kept)
    trials = {row: Trial(kept[row]) for row in rows}
    if isinstance(params.prompts.explain[params.explain.method], ExplainPrompt):
        answers = ask(recordings, kept, params, opened)
        named: Mapping[int, Named] = {row: one.senses for row, one in answers.items()}
        trials |= {row: replace(trials[row], status=one.status) for row, one in answers.items()}
    else:
        named = from_phrases(recordings, kept, params.refine.senses, unpaid(recordings, params, simulate))
    for row, several in named.items():
        senses = with_shares(several, strengths(recordings, row))[: params.refine.senses]
        trials[row] = replace(trials[row], senses=senses if len(senses) > 1 else ())
    return compared(recordings, trials, simulate)


def compared(recordings: Recordings, trials: dict[int, Trial], simulate: Simulate) -> dict[int, Trial]:
    """With the scores of both ways on the select split, for units with several senses."""
    rows = [row for row, one in trials.items() if one.senses]
    texts = {whole(trials[row].senses): tuple(sense.text for sense in trials[row].senses) for row in rows}
    single = select_scores(recordings, rows, [[trials[row].single] for row in rows], simulate)
    together = select_scores(recordings, rows, [[trials[row].candidate] for row in rows], by_senses(simulate, texts))
    each = select_scores(recordings, rows, [[Candidate(one.text, Status.OK) for one in trials[row].senses] for row in rows], simulate)
    found = dict(trials)
    for row, (before,), (after,), alone in zip(rows, single, together, each, strict=True):
        sentence = replace(trials[row].single, select_score=before)
        found[row] = replace(trials[row], single=sentence, score=after, alone=tuple(one for one in alone if one is not None))
    return found


def strengths(recordings: Recordings, row: int) -> Float[np.ndarray, " excerpt"]:
    """The strongest activation of each explain excerpt, none below zero."""
    slots = recordings.slots.where(Split.EXPLAIN)
    return np.asarray(np.maximum(np.asarray(recordings.activations[row, slots], np.float64).max(axis=1), 0.0))


def with_shares(named: Named, strength: Float[np.ndarray, " excerpt"]) -> tuple[Sense, ...]:
    """Sentences with their shares, the largest first; one that accounts for nothing is left out.

    An excerpt that several account for counts for each in equal parts.

    >>> with_shares([("boats", [0]), ("colours", [0, 1]), ("towns", [])], np.array([2.0, 1.0, 1.0]))
    (Sense(text='colours', share=0.5), Sense(text='boats', share=0.25))
    """
    claims = Counter(place for _, places in named for place in places)
    total = float(strength.sum())
    found = [Sense(text, sum(float(strength[at]) / claims[at] for at in places) / total) for text, places in named] if total > 0 else []
    return tuple(sorted((one for one in found if one.share > 0), key=lambda one: -one.share))


def from_phrases(recordings: Recordings, kept: Mapping[int, Candidate], most: int, simulate: Simulate) -> dict[int, Named]:
    """The phrases of explanations that have several, in at most so many groups."""
    cut = {row: several for row, one in sorted(kept.items()) if len(several := phrases(one.text or "")) > 1}
    slots = recordings.slots.where(Split.EXPLAIN)
    owners = np.array([row for row, several in cut.items() for _ in several], np.int64)
    levels = simulate(owners, slots, [phrase for several in cut.values() for phrase in several]).levels.astype(np.float64)
    found: dict[int, Named] = {}
    for row, several in cut.items():
        own = np.nan_to_num(levels[owners == row])
        strongest = np.asarray(recordings.activations[row, slots]).argmax(axis=1)
        groups = grouped(own, strongest, strengths(recordings, row), most)
        found[row] = [("; ".join(several[one] for one in members), places) for members, places in groups]
    return found


def grouped(
    levels: Float[np.ndarray, "phrase excerpt token"],
    strongest: Int[np.ndarray, " excerpt"],
    strength: Float[np.ndarray, " excerpt"],
    most: int,
) -> list[tuple[list[int], list[int]]]:
    """Groups of phrases, each with the excerpts that it accounts for.

    An excerpt belongs to the phrase that predicts most on its strongest token, the first of equal ones. The phrases to which most of the
    firing belongs head the groups; each other one joins the head that it is most like.
    """
    there = levels[:, np.arange(len(strongest)), strongest]  # (phrase, excerpt)
    owner = np.where(there.max(axis=0) > 0, there.argmax(axis=0), -1)
    mass = np.array([strength[owner == phrase].sum() for phrase in range(len(levels))])
    heads = [int(phrase) for phrase in np.argsort(-mass, kind="stable")[:most] if mass[phrase] > 0]
    if len(heads) < 2:
        return []
    groups = {head: [head] for head in heads}
    for phrase in range(len(levels)):
        if phrase not in groups:
            likeness = [correlation(levels[phrase], levels[head]) or 0.0 for head in heads]
            groups[heads[int(np.argmax(likeness))]].append(phrase)
    return [(members, np.flatnonzero(np.isin(owner, members)).tolist()) for members in groups.values()]
