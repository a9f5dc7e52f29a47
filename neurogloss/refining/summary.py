"""What revision did, round by round, and what looking for senses did: the numbers to commit."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurogloss.artifacts.revisions import Revision
from neurogloss.artifacts.status import Status
from neurogloss.refining.senses import Trial

DIGITS = 6
"""Decimals of every number in metrics/."""


def summary(revisions: Sequence[Revision], trials: Sequence[Trial] = ()) -> dict[str, Any]:
    """One entry for each round, none without rounds, and what came of looking for senses, if anyone did.

    Means are over the units that have both numbers.
    """
    rounds = sorted({one.round for one in revisions})
    found: dict[str, Any] = {"rounds": [round_summary(number, [one for one in revisions if one.round == number]) for number in rounds]}
    return found | ({"senses": senses_summary(trials)} if trials else {})


def senses_summary(trials: Sequence[Trial]) -> dict[str, Any]:
    """In how many units several senses were found, for how many these replaced the one sentence, and what that did to the select split."""
    several = [one for one in trials if one.senses]
    failed = Counter(str(one.status) for one in trials if one.status is not Status.OK)
    return {
        "units": len(trials),
        "several": len(several),
        "kept": sum(one.kept for one in trials),
        "failed": sum(failed.values()),
        "failed_by_cause": dict(failed),
        "select": before_and_after([(one.single.select_score, one.score if one.kept else one.single.select_score) for one in several]),
    }


def round_summary(number: int, revisions: Sequence[Revision]) -> dict[str, Any]:
    """How many units were asked about, kept the new explanation or failed, and what that changed.

    `select` is the score that the choice went by, `generated` that on held-out sentences, which no choice saw.
    `fired` is the share of proposed sentences that fired, where the explanation says that they should and that they should not.
    """
    kept = [(one.select_before, one.after.select_score if one.kept else one.select_before) for one in revisions]
    generated = [(one.generated_before, one.generated_after if one.kept else one.generated_before) for one in revisions]
    evidence = [shown for one in revisions for shown in one.evidence if shown.expected is not None]
    return {
        "round": number,
        "units": len(revisions),
        "kept": sum(one.kept for one in revisions),
        "failed": sum(one.after.status is not Status.OK for one in revisions),
        "select": before_and_after(kept),
        "generated": before_and_after(generated),
        "fired": {
            "expected": share([one.fired for one in evidence if one.expected]),
            "unexpected": share([one.fired for one in evidence if not one.expected]),
        },
    }


def before_and_after(pairs: Sequence[tuple[float | None, float | None]]) -> dict[str, float | int | None]:
    """Means over the pairs without a None."""
    both = np.array([pair for pair in pairs if None not in pair], np.float64).reshape(-1, 2)
    if not len(both):
        return {"units": 0, "before": None, "after": None}
    before, after = both.mean(axis=0)
    return {"units": len(both), "before": round(float(before), DIGITS), "after": round(float(after), DIGITS)}


def share(found: Sequence[bool]) -> float | None:
    """Of the true ones; None without any."""
    return round(float(np.mean(found)), DIGITS) if found else None
