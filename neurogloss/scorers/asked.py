"""Scorers that ask a language model: detection and fuzzing of each unit's score excerpts, by its own sentence and by a borrowed one."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from neurogloss.artifacts.explanations import Explanations
from neurogloss.artifacts.recordings import Kind, Recordings, Split
from neurogloss.artifacts.simulations import NOBODY
from neurogloss.artifacts.status import FailureLimit, Status, too_many
from neurogloss.config.params import Params
from neurogloss.config.prompts import AttendsPrompt, RatingPrompt
from neurogloss.errors import UserError
from neurogloss.llm.client import OpenClient, open_client
from neurogloss.measures.levels import levels
from neurogloss.scorers.attends import ReadPairs, attended, read_pairs
from neurogloss.scorers.classify import Asking, Classified, Excerpt, Material, Pairs, classify, excerpts_shown

CHANCE = 0.5
"""What a sentence that is not there scores, as any constant answer does: silence never pays."""


class Asked(NamedTuple):
    """One scorer's answers."""

    own: Classified
    control: Classified
    """The same questions with another unit's sentence."""
    scorable: Bool[np.ndarray, " neuron"]
    """Whether there are firing and quiet excerpts."""


def ask_scorers(
    recordings: Recordings,
    texts: Sequence[str | None],
    lenders: Int[np.ndarray, " neuron"],
    params: Params,
    opened: OpenClient = open_client,
    pairs: ReadPairs | None = None,
) -> dict[str, Asked]:
    """By layout what each scorer of `score.scorers` gives for the sentences and for those of the `lenders`; nobody is asked without any.

    `pairs` gives what the scorer `attends` needs; by default the subject runs. UserError where it is named and the units are no heads.
    """
    prompts = [prompt for name in params.score.scorers if isinstance(prompt := params.prompts.score[name], RatingPrompt)]
    if not prompts:
        return {}
    model = params.model(params.score.model, "score.model")
    borrowed = [None if lender == NOBODY else texts[lender] for lender in lenders.tolist()]
    found: dict[str, Asked] = {}
    with opened(params.score.model, model, "score") as client:
        for prompt in prompts:
            units: Callable[[int], Material | Pairs] = partial(material, recordings, params.score.seed)
            if isinstance(prompt, AttendsPrompt):
                units = attended(recordings, prompt, params.score.seed, pairs or partial(read_pairs, recordings)).__getitem__
            shown = np.array([0 if silent else excerpts_shown(units(row), prompt) for row, silent in enumerate(recordings.silent)])
            total = sum(int(shown[[text is not None for text in sentences]].sum()) for sentences in (texts, borrowed))
            limit = FailureLimit(f"{prompt.layout} ratings", "score", params.limits.max_failed_share, total)
            asking = Asking(prompt, model, client, params.score.min_excerpts_share, limit)
            found[prompt.layout] = Asked(classify(units, texts, asking), classify(units, borrowed, asking), shown > 0)
    return found


def first_lenders(rows: Int[np.ndarray, " control"], lenders: Int[np.ndarray, "control draw"], neurons: int) -> Int[np.ndarray, " neuron"]:
    """Whose sentence each neuron borrows first; NOBODY for neurons without a control. `rows` are those of the neurons with one.

    >>> first_lenders(np.array([0, 2]), np.array([[2, 1], [1, 0]]), 3).tolist()
    [2, -1, 1]
    """
    found = np.full(neurons, NOBODY)
    if len(rows):
        found[rows] = lenders[:, 0]
    return found


def material(recordings: Recordings, seed: int, row: int) -> Material:
    """A neuron's score excerpts: strong ones from the top, quiet ones from the random."""
    strong, drawn = (excerpts(recordings, row, recordings.slots.where(Split.SCORE, kind=kind)) for kind in (Kind.TOP, Kind.RANDOM))
    return Material(strong, drawn, (seed, int(recordings.layers[row]), int(np.uint32(recordings.indices[row]))))


def excerpts(recordings: Recordings, row: int, slots: Int[np.ndarray, " slot"]) -> list[Excerpt]:
    """Tokens and levels of a neuron's excerpts."""
    scaled = levels(np.asarray(recordings.activations[row, slots]), float(recordings.peaks[row]))
    ids = recordings.tokens(row, slots)
    return [Excerpt([recordings.vocabulary[token] for token in one], values) for one, values in zip(ids, scaled, strict=True)]


def check_ratings(asked: dict[str, Asked], allowed: float) -> None:
    """UserError where more excerpts were left without a rating than the params allow."""
    for name, (own, control, _) in asked.items():
        if message := too_many(own.causes + control.causes, own.asked + control.asked, f"{name} ratings", "score", allowed):
            raise UserError(message)


def asked_columns(asked: dict[str, Asked], explanations: Explanations) -> dict[str, Any]:
    """The columns of the scores that scorers fill, NaN where undefined.

    A unit without a sentence is at chance. One whose explanation failed has no number, but its status.
    """
    columns: dict[str, Any] = {}
    for name, (own, control, scorable) in asked.items():
        missing = np.array([status is Status.NO_EXPLANATION for status in explanations.statuses], bool) & scorable
        accuracy = np.where(missing, CHANCE, own.accuracy)
        columns |= {
            name: accuracy,
            f"{name}_auc": np.where(missing, CHANCE if own.with_auc else np.nan, own.auc),
            f"{name}_control": np.where(np.isnan(accuracy), np.nan, control.accuracy),
            f"{name}_status": [str(status) for status in map(why, own.statuses, explanations.statuses, scorable)],
            f"{name}_failed": own.failed,
        }
    return columns


def why(classified: Status, explained: Status, scorable: bool) -> Status:
    """Why a unit has no number, or OK, or that it has no sentence."""
    if explained is Status.OK:
        return classified
    return Status.CONSTANT if explained is Status.NO_EXPLANATION and not scorable else explained
