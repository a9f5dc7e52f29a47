"""Detection and fuzzing: a language model says for each of several excerpts whether an explanation holds in it (EleutherAI's delphi).

Detection shows plain excerpts, some on which the unit fires and some quiet ones: does the explanation hold anywhere in this excerpt?
Fuzzing shows excerpts with marked tokens: in excerpts on which the unit fires the marks are the firing tokens, in quiet ones as many tokens
at random: are all marks right? Only excerpts of the score split are shown.

balanced accuracy   mean of the shares of firing and of quiet excerpts that are rated right; 0.5 is chance
AUC                 probability that a firing excerpt is rated above a quiet one, ties counting half (Mann-Whitney), where the answer's
                    log-probabilities are to be had
"""

import json
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from neurogloss.artifacts.status import Status
from neurogloss.errors import ProviderError
from neurogloss.llm.escape import shown
from neurogloss.llm.refusals import refused
from neurogloss.llm.request import Reply

LIST = re.compile(r"\[[\s01,]*\]")
OPEN, CLOSE = "<<", ">>"


class Shown(NamedTuple):
    """One excerpt as the model sees it."""

    text: str
    fires: bool
    """What is right."""


class Rating(NamedTuple):
    """What the model said of one excerpt."""

    holds: bool
    probability: float | None
    """Of "1" against "0"; None without log-probabilities."""


def plain(pieces: Sequence[bytes]) -> str:
    """Running text on one line; joined before decoding, because a character may be spread over tokens."""
    return shown(b"".join(pieces))


def marked(pieces: Sequence[bytes], marks: Bool[np.ndarray, " token"]) -> str:
    """Running text in which runs of marked tokens stand between << and >>; what looks like a mark in the text itself gets a backslash.

    >>> marked([b"the", b" old", b" boat", b"<<"], np.array([False, True, True, False]))
    'the<< old boat>>\\\\<<'
    """
    parts, start = [], 0
    for stop in range(1, len(pieces) + 1):
        if stop == len(pieces) or marks[stop] != marks[start]:
            text = plain(pieces[start:stop]).replace(OPEN, f"\\{OPEN}").replace(CLOSE, f"\\{CLOSE}")
            parts.append(f"{OPEN}{text}{CLOSE}" if marks[start] else text)
            start = stop
    return "".join(parts)


def wrong_marks(count: int, length: int, rng: np.random.Generator) -> Bool[np.ndarray, " token"]:
    """`count` tokens of a quiet excerpt at random, at most all of them."""
    marks = np.zeros(length, bool)
    marks[rng.choice(length, min(count, length), replace=False)] = True
    return marks


def deal_questions(count: int, per_question: int, rng: np.random.Generator) -> list[Int[np.ndarray, " excerpt"]]:
    """Excerpts in a random order, cut into questions of `per_question`; the last may be shorter."""
    order = rng.permutation(count)
    return [order[start : start + per_question] for start in range(0, count, per_question)]


def read_ratings(reply: Reply | ProviderError, excerpts: int) -> list[Rating] | Status:
    """One rating for each excerpt, or why there are none. The answer is the first list of 0 and 1, such as [1, 0, 1]."""
    if isinstance(reply, ProviderError):
        return Status(reply.status)
    if reply.finish_reason == "content_filter" or refused(reply.text):
        return Status.REFUSED
    found = LIST.search(reply.text)
    try:
        values = json.loads(found[0]) if found else None
    except ValueError:
        values = None
    if found is None or values is None or len(values) != excerpts:
        return Status.CUT_OFF if reply.finish_reason == "length" else Status.UNPARSABLE
    digits = [found.start() + place for place, character in enumerate(found[0]) if character in "01"]
    if len(digits) != excerpts:
        return Status.UNPARSABLE  # Such as 10 or 01.
    return [Rating(bool(value), probability(reply, place)) for value, place in zip(values, digits, strict=True)]


def probability(reply: Reply, place: int) -> float | None:
    """P(1) / (P(0) + P(1)) where a digit stands in the answer; None where its token or both digits are missing among the alternatives."""
    if "".join(token.token for token in reply.tokens) != reply.text:
        return None
    start = 0
    for token in reply.tokens:
        if start <= place < start + len(token.token):
            if token.token.strip() not in ("0", "1"):
                return None
            sums = dict.fromkeys("01", 0.0)
            for text, value in token.alternatives.items():
                if text.strip() in sums:
                    sums[text.strip()] += math.exp(value)
            whole = sum(sums.values())
            return sums["1"] / whole if whole > 0 else None
        start += len(token.token)
    return None


def balanced_accuracy(fires: Bool[np.ndarray, " excerpt"], holds: Bool[np.ndarray, " excerpt"]) -> float | None:
    """Mean of the shares of firing and of quiet excerpts that are rated right; None unless there are both.

    >>> balanced_accuracy(np.array([True, True, False]), np.array([True, False, False]))
    0.75
    """
    if fires.all() or not fires.any():
        return None
    return float((holds[fires].mean() + (~holds[~fires]).mean()) / 2)


def auc(fires: Bool[np.ndarray, " excerpt"], ratings: Float[np.ndarray, " excerpt"]) -> float | None:
    """Area under the ROC curve: how often a firing excerpt is rated above a quiet one, ties counting half; None unless there are both."""
    if fires.all() or not fires.any():
        return None
    difference = ratings[fires][:, None] - ratings[~fires][None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())
