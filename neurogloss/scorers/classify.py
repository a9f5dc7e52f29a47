"""Ask a language model to classify excerpts (detection, fuzzing), for each unit's own explanation and, as a control, for another unit's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from neurogloss.artifacts.recordings import Kind, Recordings, Split
from neurogloss.artifacts.status import Status
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import ClassifyPrompt, fill
from neurogloss.errors import ProviderError
from neurogloss.llm.request import Client, Message, Reply, Request, model_id
from neurogloss.measures.levels import levels
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


class Question(NamedTuple):
    """Some excerpts of a unit, asked about together."""

    request: Request
    excerpts: list[Shown]


@dataclass(frozen=True)
class Classified:
    """What classification gives for each unit; NaN where undefined."""

    accuracy: Float[np.ndarray, " unit"]
    """Balanced accuracy."""
    auc: Float[np.ndarray, " unit"]
    statuses: list[Status]
    """OK, or why there is no accuracy: silent, constant where firing or quiet excerpts are missing, else the commonest failure."""
    failed: int
    """Excerpts without a rating."""


def classify(
    recordings: Recordings,
    texts: Sequence[str | None],
    prompt: ClassifyPrompt,
    model: ModelParams,
    client: Client,
    seed: int,
) -> Classified:
    """Classify each unit's score excerpts by the sentence at its row; a unit without a sentence has status no_explanation."""
    questions = [questions_of(recordings, row, text, prompt, model, client, seed) for row, text in enumerate(texts)]
    flat = [question.request for asked in questions for question in asked]
    replies = iter(client.ask(flat, prompt.layout) if flat else [])
    found = [rated(asked, [next(replies) for _ in asked]) for asked in questions]
    accuracy, areas, statuses = np.full(len(texts), np.nan), np.full(len(texts), np.nan), []
    for row, (asked, unit) in enumerate(zip(questions, found, strict=True)):
        if not asked:
            statuses.append(Status.SILENT if recordings.silent[row] else Status.NO_EXPLANATION if texts[row] is None else Status.CONSTANT)
            continue
        statuses.append(unit.status)
        if unit.status is Status.OK:
            accuracy[row] = unit.accuracy
            areas[row] = np.nan if unit.auc is None else unit.auc
    return Classified(accuracy, areas, statuses, sum(unit.failed for unit in found))


def questions_of(
    recordings: Recordings, row: int, text: str | None, prompt: ClassifyPrompt, model: ModelParams, client: Client, seed: int
) -> list[Question]:
    """The questions about one unit; none without a sentence, or without both firing and quiet excerpts.

    The order of excerpts and wrong marks depend on the seed and the unit alone, so that another sentence is judged on the same questions.
    """
    if text is None or recordings.silent[row]:
        return []
    rng = np.random.default_rng([seed, int(recordings.layers[row]), int(recordings.indices[row])])
    excerpts = excerpts_of(recordings, row, prompt, rng)
    if len({one.fires for one in excerpts}) < 2:
        return []
    opening = opening_of(prompt)
    alternatives = prompt.alternatives if prompt.alternatives and client.offers("top_logprobs") else 0
    found = []
    for places in deal_questions(len(excerpts), prompt.excerpts_per_question, rng):
        chosen = [excerpts[int(place)] for place in places]
        last = Message("user", question(text, [one.text for one in chosen], prompt))
        request = Request(
            provider=model.provider,
            model=model_id(model),
            messages=(*opening, last),
            max_tokens=prompt.max_tokens,
            top_logprobs=alternatives,
        )
        found.append(Question(request, chosen))
    return found


def excerpts_of(recordings: Recordings, row: int, prompt: ClassifyPrompt, rng: np.random.Generator) -> list[Shown]:
    """Score excerpts: the strongest ones in which a token reaches `mark_from`, and the random ones whose levels are all 0."""
    tops, randoms = (recordings.slots.where(Split.SCORE, kind=kind) for kind in (Kind.TOP, Kind.RANDOM))
    firing = [(pieces, values >= prompt.mark_from) for pieces, values in read(recordings, row, tops) if values.max() >= prompt.mark_from]
    quiet = [pieces for pieces, values in read(recordings, row, randoms) if values.max() == 0]
    if prompt.layout == "detection":
        return [*(Shown(plain(pieces), True) for pieces, _ in firing), *(Shown(plain(pieces), False) for pieces in quiet)]
    count = -(-sum(int(marks.sum()) for _, marks in firing) // max(1, len(firing)))
    wrong = [Shown(marked(pieces, wrong_marks(count, len(pieces), rng)), False) for pieces in quiet]
    return [*(Shown(marked(pieces, marks), True) for pieces, marks in firing), *wrong]


def read(recordings: Recordings, row: int, slots: Int[np.ndarray, " slot"]) -> list[tuple[list[bytes], np.ndarray]]:
    """Tokens and levels of a unit's excerpts."""
    scaled = levels(np.asarray(recordings.activations[row, slots]), float(recordings.peaks[row]))
    return [
        ([recordings.vocabulary[token] for token in ids], values) for ids, values in zip(recordings.tokens(row, slots), scaled, strict=True)
    ]


def opening_of(prompt: ClassifyPrompt) -> tuple[Message, ...]:
    """System and examples, the same for every question."""
    messages = [Message("system", prompt.system)]
    for example in prompt.examples:
        messages.append(Message("user", question(example.explanation, example.excerpts, prompt)))
        messages.append(Message("assistant", "[" + ", ".join(str(answer) for answer in example.answers) + "]"))
    return tuple(messages)


def question(explanation: str, texts: Sequence[str], prompt: ClassifyPrompt) -> str:
    """An explanation and numbered excerpts."""
    listed = "\n".join(fill(prompt.excerpt, number=str(number), text=text) for number, text in enumerate(texts, 1))
    return fill(prompt.question, explanation=" ".join(explanation.split()).rstrip("."), excerpts=listed)


class Unit(NamedTuple):
    """One unit's ratings, summed up."""

    status: Status
    accuracy: float | None
    auc: float | None
    failed: int


def rated(questions: Sequence[Question], replies: Sequence[Reply | ProviderError]) -> Unit:
    """Balanced accuracy and AUC over the excerpts that were rated; they need both kinds of excerpts, and AUC a probability for each."""
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
    truth = np.array(fires, bool)
    accuracy = balanced_accuracy(truth, np.array([one.holds for one in ratings], bool)) if fires else None
    if accuracy is None:
        return Unit(max(set(causes), key=causes.count) if causes else Status.CONSTANT, None, None, len(causes))
    known = [one.probability for one in ratings if one.probability is not None]
    area = auc(truth, np.array(known)) if len(known) == len(ratings) else None
    return Unit(Status.OK, accuracy, area, len(causes))
