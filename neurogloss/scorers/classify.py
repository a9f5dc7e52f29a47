"""Ask a language model to classify units' excerpts (detection, fuzzing) by a sentence for each."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Int8

from neurogloss.artifacts.status import FailureLimit, Status
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import ClassifyPrompt, RatingPrompt, fill
from neurogloss.errors import ProviderError
from neurogloss.llm.request import Client, Message, Reply, Request, model_id
from neurogloss.scorers.classification import (
    Rating,
    Shown,
    auc,
    balanced_accuracy,
    deal_questions,
    marked,
    plain,
    read_ratings,
    wrong_marks,
)

AT_ONCE = 4096
"""Requests held in memory, about."""


class Excerpt(NamedTuple):
    """Some text with what the unit does on it."""

    pieces: list[bytes]
    levels: Int8[np.ndarray, " token"]


@dataclass(frozen=True, slots=True)
class Material:
    """Excerpts of one unit to ask about."""

    strong: list[Excerpt]
    """Of these, those in which a token reaches the prompt's `mark_from` are shown as firing."""
    drawn: list[Excerpt]
    """Of these, those in which no token reaches the prompt's `quiet_below` are shown as quiet."""
    seed: tuple[int, ...]
    """The order of excerpts and wrong marks depend on it alone, so that another sentence is judged on the same questions."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Of a head: excerpts with a marked query and key each, instead."""

    shown: list[Shown]
    seed: tuple[int, ...]


class Question(NamedTuple):
    """Some excerpts of a unit, asked about together."""

    request: Request
    excerpts: list[Shown]


class Unit(NamedTuple):
    """One unit's ratings, summed up."""

    status: Status
    accuracy: float | None = None
    """Balanced accuracy."""
    auc: float | None = None
    failed: tuple[Status, ...] = ()
    """Why excerpts have no rating, one entry for each."""


@dataclass(frozen=True)
class Classified:
    """What classification gives for each unit; NaN where undefined."""

    accuracy: Float[np.ndarray, " unit"]
    """Balanced accuracy."""
    auc: Float[np.ndarray, " unit"]
    statuses: list[Status]
    """OK, or why there is no accuracy: no_explanation, constant where firing or quiet excerpts are missing, else the commonest failure."""
    failed: Int[np.ndarray, " unit"]
    """Excerpts without a rating."""
    asked: int
    """Excerpts asked about."""
    causes: Counter[Status]
    """Excerpts without a rating, by cause."""
    with_auc: bool
    """Whether probabilities were asked for."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Whom to ask, and how."""

    prompt: RatingPrompt
    model: ModelParams
    client: Client
    enough: float
    """Share of a unit's firing and of its quiet excerpts that must have a rating."""
    limit: FailureLimit | None = None
    """May end it, told of each excerpt without a rating."""

    @property
    def alternatives(self) -> int:
        """Log-probabilities asked for at each token."""
        return self.prompt.alternatives if self.prompt.alternatives and self.client.offers("top_logprobs") else 0


def classify(material: Callable[[int], Material | Pairs], texts: Sequence[str | None], asking: Asking) -> Classified:
    """Classify each unit's excerpts by its sentence. `material` gives the excerpts of the unit at a place of `texts`."""
    opening, alternatives = opening_of(asking.prompt), asking.alternatives
    units: list[Unit] = []
    pending: list[list[Question]] = []
    count = asked = 0
    for number, text in enumerate(texts):
        questions = [] if text is None else list(questions_of(material(number), text, asking, opening, alternatives))
        pending.append(questions)
        count += len(questions)
        asked += sum(len(question.excerpts) for question in questions)
        if count >= AT_ONCE:
            units += answered(pending, asking)
            pending, count = [], 0
    units += answered(pending, asking)
    statuses = [Status.NO_EXPLANATION if text is None else unit.status for text, unit in zip(texts, units, strict=True)]
    return Classified(
        accuracy=np.array([unit.accuracy for unit in units], np.float64),  # None becomes NaN.
        auc=np.array([unit.auc for unit in units], np.float64),
        statuses=statuses,
        failed=np.array([len(unit.failed) for unit in units], np.int64),
        asked=asked,
        causes=Counter(cause for unit in units for cause in unit.failed),
        with_auc=alternatives > 0,
    )


def answered(pending: Sequence[list[Question]], asking: Asking) -> list[Unit]:
    """Ask everything in one go; each unit's ratings, summed up."""
    flat = [question for questions in pending for question in questions]

    def arrived(index: int, reply: Reply | ProviderError) -> None:
        found = read_ratings(reply, len(flat[index].excerpts))
        if asking.limit is not None and isinstance(found, Status):
            asking.limit.add(found, len(flat[index].excerpts))

    replies = iter(asking.client.ask([question.request for question in flat], asking.prompt.layout, arrived) if flat else [])
    return [rated(questions, [next(replies) for _ in questions], asking.enough) for questions in pending]


def questions_of(
    material: Material | Pairs, text: str, asking: Asking, opening: tuple[Message, ...], alternatives: int
) -> Iterator[Question]:
    """The questions about one unit; none without both firing and quiet excerpts."""
    prompt, rng = asking.prompt, np.random.default_rng(material.seed)
    if not has_both_kinds(material, prompt):
        return
    excerpts = shown_excerpts(material, prompt, rng)
    for places in deal_questions(len(excerpts), prompt.excerpts_per_question, rng):
        chosen = [excerpts[int(place)] for place in places]
        request = Request(
            provider=asking.model.provider,
            model=model_id(asking.model),
            messages=(*opening, Message("user", question(text, [one.text for one in chosen], prompt))),
            max_tokens=prompt.max_tokens,
            top_logprobs=alternatives,
        )
        yield Question(request, chosen)


def has_both_kinds(material: Material | Pairs, prompt: RatingPrompt) -> bool:
    """Whether there are firing and quiet excerpts."""
    return excerpts_shown(material, prompt) > 0


def excerpts_shown(material: Material | Pairs, prompt: RatingPrompt) -> int:
    """How many excerpts are asked about; none without both firing and quiet ones."""
    if isinstance(material, Pairs) or not isinstance(prompt, ClassifyPrompt):
        return len(material.shown) if isinstance(material, Pairs) else 0
    firing, quiet = len(firing_of(material, prompt)), len(quiet_of(material, prompt))
    return firing + quiet if firing and quiet else 0


def firing_of(material: Material, prompt: ClassifyPrompt) -> list[Excerpt]:
    """Strong excerpts in which a token reaches `mark_from`."""
    return [one for one in material.strong if one.levels.max() >= prompt.mark_from]


def quiet_of(material: Material, prompt: ClassifyPrompt) -> list[Excerpt]:
    """Drawn excerpts in which no token reaches `quiet_below`."""
    return [one for one in material.drawn if one.levels.max() < prompt.quiet_below]


def shown_excerpts(material: Material | Pairs, prompt: RatingPrompt, rng: np.random.Generator) -> list[Shown]:
    """Firing excerpts, then quiet ones, as the prompt shows them."""
    if isinstance(material, Pairs) or not isinstance(prompt, ClassifyPrompt):
        return material.shown if isinstance(material, Pairs) else []
    firing = [(one.pieces, one.levels >= prompt.mark_from) for one in firing_of(material, prompt)]
    quiet = [one.pieces for one in quiet_of(material, prompt)]
    if prompt.layout == "detection":
        return [*(Shown(plain(pieces), True) for pieces, _ in firing), *(Shown(plain(pieces), False) for pieces in quiet)]
    count = -(-sum(int(marks.sum()) for _, marks in firing) // max(1, len(firing)))
    wrong = [Shown(marked(pieces, wrong_marks(count, len(pieces), rng)), False) for pieces in quiet]
    return [*(Shown(marked(pieces, marks), True) for pieces, marks in firing), *wrong]


def opening_of(prompt: RatingPrompt) -> tuple[Message, ...]:
    """System and examples, the same for every question."""
    messages = [Message("system", prompt.system)]
    for example in prompt.examples:
        messages.append(Message("user", question(example.explanation, example.excerpts, prompt)))
        messages.append(Message("assistant", "[" + ", ".join(str(answer) for answer in example.answers) + "]"))
    return tuple(messages)


def question(explanation: str, texts: Sequence[str], prompt: RatingPrompt) -> str:
    """An explanation and numbered excerpts."""
    listed = "\n".join(fill(prompt.excerpt, number=str(number), text=text) for number, text in enumerate(texts, 1))
    return fill(prompt.question, explanation=" ".join(explanation.split()).rstrip("."), excerpts=listed)


def rated(questions: Sequence[Question], replies: Sequence[Reply | ProviderError], enough: float) -> Unit:
    """Balanced accuracy and AUC over the excerpts that were rated.

    Without questions the unit is constant; with too few ratings of either kind it has the commonest failure. AUC needs a probability
    for each rating.
    """
    every = [one.fires for asked in questions for one in asked.excerpts]
    fires: list[bool] = []
    ratings: list[Rating] = []
    causes: list[Status] = []
    for asked, reply in zip(questions, replies, strict=True):
        found = read_ratings(reply, len(asked.excerpts))
        if isinstance(found, Status):
            causes += [found] * len(asked.excerpts)
        else:
            fires += [one.fires for one in asked.excerpts]
            ratings += found
    if not every:
        return Unit(Status.CONSTANT)
    if any(fires.count(kind) < max(1.0, enough * every.count(kind)) for kind in (True, False)):
        return Unit(max(sorted(set(causes)), key=causes.count), failed=tuple(causes))
    truth = np.array(fires, bool)
    accuracy = balanced_accuracy(truth, np.array([one.holds for one in ratings], bool))
    known = [one.probability for one in ratings if one.probability is not None]
    area = auc(truth, np.array(known)) if len(known) == len(ratings) else None
    return Unit(Status.OK, accuracy, area, tuple(causes))
