"""judge: how well the simulator that the params name reads explanations of units that were recorded anywhere.

score           correlation of simulated levels with activations, pooled over a unit's excerpts; a constant simulation scores 0
agreement       the same with a careful reader's levels, where the file has them
rank_agreement  over explanations, the correlation of the simulator's score with the reader's
sensitivity     mean correlation between levels for different sentences on the same excerpts; 1 means that the simulator does not read.
                A unit with several explanations brings its own sentences, one with a single explanation borrows the next unit's
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from neurogloss.artifacts.status import Status
from neurogloss.config.params import Params
from neurogloss.errors import UserError
from neurogloss.judging.units import JudgedUnit
from neurogloss.llm.client import OpenClient, open_client
from neurogloss.measures.correlation import correlation, prediction_score
from neurogloss.simulators.passages import Pair, simulate_pairs

BORROWED = 50
"""Units with a single explanation that are also simulated from another unit's."""


class Sentence(NamedTuple):
    """An explanation to be simulated on a unit's excerpts."""

    unit: int
    text: str


@dataclass(frozen=True)
class Judged:
    """One explanation of one unit."""

    unit: str
    explanation: str
    score: float | None
    """None where the recording is constant or nothing was simulated."""
    rank: int
    """Among the unit's own explanations, 1 the best; equal scores share the better rank."""
    agreement: float | None
    """None without labels, where they are constant, or where nothing was simulated."""
    reader_score: float | None
    """What the labels score."""
    failed: int
    """Excerpts without a simulation or a rating."""
    auc: float | None = None
    """Of a scorer that asks which excerpts fit, where the answers' log-probabilities are to be had."""


@dataclass(frozen=True)
class Verdict:
    """What judging found."""

    explanations: list[Judged]
    units: int
    sensitivity: float | None
    failed: Counter[str]
    """Excerpts without a simulation or a rating, by cause; borrowed sentences are not counted."""

    @property
    def score(self) -> float | None:
        """Mean score."""
        return mean([one.score for one in self.explanations])

    @property
    def agreement(self) -> float | None:
        """Mean agreement."""
        return mean([one.agreement for one in self.explanations])

    @property
    def auc(self) -> float | None:
        """Mean AUC."""
        return mean([one.auc for one in self.explanations])

    @property
    def rank_agreement(self) -> float | None:
        """Correlation of the simulator's scores with the reader's, over explanations; None with fewer than three."""
        pairs = [(one.score, one.reader_score) for one in self.explanations if one.score is not None and one.reader_score is not None]
        if len(pairs) < 3:
            return None
        first, second = (np.array(column) for column in zip(*pairs, strict=True))
        return correlation(first, second)


def judge(units: Sequence[JudgedUnit], params: Params, borrowed: int = BORROWED, opened: OpenClient = open_client) -> Verdict:
    """Simulate every explanation on its unit's excerpts and compare; up to `borrowed` units get another's sentence, too, for sensitivity.

    Raises UserError where the params do not fit together.
    """
    own = [Sentence(number, text) for number, unit in enumerate(units) for text in unit.explanations]
    single = [number for number, unit in enumerate(units) if len(unit.explanations) == 1]
    extra = [Sentence(number, other) for number in single[:borrowed] if (other := another(units, number)) is not None]
    levels, statuses = simulated(units, [*own, *extra], params, opened)
    judged, failed, start = [], Counter[str](), 0
    for unit in units:
        stop = start + len(unit.explanations)
        judged += compared(unit, levels[start:stop], statuses[start:stop])
        failed.update(str(status) for found in statuses[start:stop] for status in found if status is not Status.OK)
        start = stop
    return Verdict(judged, len(units), sensitivity([*own, *extra], levels), failed)


def another(units: Sequence[JudgedUnit], number: int) -> str | None:
    """The next unit's first explanation that differs from this unit's; None where there is none."""
    mine = set(units[number].explanations)
    for step in range(1, len(units)):
        text = units[(number + step) % len(units)].explanations[0]
        if text not in mine:
            return text
    return None


def simulated(
    units: Sequence[JudgedUnit], sentences: Sequence[Sentence], params: Params, opened: OpenClient
) -> tuple[list[list[np.ndarray]], list[list[Status]]]:
    """Levels (token) and status of each sentence on each of its unit's excerpts; NaN where the status is not ok."""
    pairs = [Pair(one.text, excerpt.pieces) for one in sentences for excerpt in units[one.unit].excerpts]
    found = iter(simulate_pairs(pairs, params, "judge", opened))
    each = [[next(found) for _ in units[one.unit].excerpts] for one in sentences]
    return [[one.levels for one in row] for row in each], [[one.status for one in row] for row in each]


def compared(unit: JudgedUnit, levels: list[list[np.ndarray]], statuses: list[list[Status]]) -> list[Judged]:
    """Each explanation of a unit, in their order."""
    scores, agreements, failures = [], [], []
    for found, codes in zip(levels, statuses, strict=True):
        use = [code is Status.OK for code in codes]
        scores.append(pooled([excerpt.activations for excerpt in unit.excerpts], found, use))
        labels = None if unit.labelled is None else [excerpt.levels or [] for excerpt in unit.excerpts]
        agreements.append(None if labels is None else pooled(labels, found, use))
        failures.append(use.count(False))
    each = zip(unit.explanations, scores, ranks(scores), agreements, failures, strict=True)
    return [Judged(unit.unit, text, score, rank, agreement, reader_score(unit), failed) for text, score, rank, agreement, failed in each]


def ranks(scores: Sequence[float | None]) -> list[int]:
    """Of each score, 1 the best; equal ones share the better rank, and what has no score comes last.

    >>> ranks([0.1, None, 0.3, 0.3])
    [3, 4, 1, 1]
    """
    order = [-2.0 if score is None else score for score in scores]
    return [1 + sum(other > mine for other in order) for mine in order]


def reader_score(unit: JudgedUnit) -> float | None:
    """What a careful reader's levels score; None without them."""
    return None if unit.labelled is None else prediction_score(unit.recorded, unit.labelled)


def pooled(truth: Sequence[Sequence[float]], levels: list[np.ndarray], use: list[bool]) -> float | None:
    """Score over the tokens of the excerpts in use; None without one."""
    chosen = [place for place, used in enumerate(use) if used]
    if not chosen:
        return None
    recorded = np.concatenate([np.asarray(truth[place], np.float64) for place in chosen])
    return prediction_score(recorded, np.concatenate([levels[place] for place in chosen]))


def sensitivity(sentences: Sequence[Sentence], levels: list[list[np.ndarray]]) -> float | None:
    """Mean over units of the mean correlation between levels for different sentences; pairs in which one is constant are left out."""
    of_unit: dict[int, list[np.ndarray]] = {}
    for sentence, found in zip(sentences, levels, strict=True):
        of_unit.setdefault(sentence.unit, []).append(np.concatenate(found))
    means = []
    for several in of_unit.values():
        found_pairs = []
        for one, other in combinations(several, 2):
            both = ~(np.isnan(one) | np.isnan(other))
            if (value := correlation(one[both], other[both])) is not None:
                found_pairs.append(value)
        if found_pairs:
            means.append(float(np.mean(found_pairs)))
    return float(np.mean(means)) if means else None


def mean(values: Sequence[float | None]) -> float | None:
    """Of what is defined; None without any."""
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None


def with_simulator(params: Params, name: str | None) -> Params:
    """The params with another simulator; UserError where there is no such prompt."""
    if name is None:
        return params
    if name not in params.prompts.simulate:
        known = ", ".join([*params.prompts.simulate, *params.prompts.score])
        raise UserError(f"--simulator: there is no {name!r}; there are: {known}")
    return params.model_copy(update={"simulate": params.simulate.model_copy(update={"method": name})})
