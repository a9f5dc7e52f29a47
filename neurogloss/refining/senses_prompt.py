"""Ask which kinds of things a unit fires on, by the numbers of its explain excerpts, and read the answer.

    [1, 3, 4] words for boats
    [2, 5] the word "of" after a number

What names an excerpt that is not there, or says nothing behind its numbers, is a failure, never a sense.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.status import FailureLimit, Status
from neurogloss.config.explain import ExplainParams
from neurogloss.config.models import ModelParams
from neurogloss.config.params import Params
from neurogloss.config.prompts import Count, Excerpt, SensesPrompt, fill
from neurogloss.config.refine import RefineParams
from neurogloss.errors import ProviderError, UserError
from neurogloss.explainers.answers import phrase
from neurogloss.explainers.layouts import highlighted
from neurogloss.explainers.prompted import PER_MESSAGE
from neurogloss.llm.client import OpenClient
from neurogloss.llm.planning import NAMING
from neurogloss.llm.refusals import refused
from neurogloss.llm.request import Message, Reply, Request, model_id
from neurogloss.llm.tokens import fitting
from neurogloss.refining.revision_prompt import excerpts

LINE = re.compile(r"^[-*\s]*(?:\d{1,2}[.)]\s*)?\**\[(?P<numbers>[^\]]*)\]\**\s*[:.\u2013\u2014-]?\s*(?P<text>.*)$")
SEPARATOR = re.compile(r"[\s,;]+")


class Answer(NamedTuple):
    """What a model said about one unit."""

    status: Status
    senses: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Sentences, each with the places of the excerpts that it names, the first being 0."""


def ask(recordings: Recordings, kept: Mapping[int, Candidate], params: Params, opened: OpenClient) -> dict[int, Answer]:
    """One question for each unit of these rows; a unit with one explain excerpt has nothing to tell apart, and is not asked about.

    UserError where more answers fail than `limits.max_failed_share` allows, as soon as that is certain.
    """
    prompt, model = params.prompts.refine.senses, params.model(params.explain.model, "explain.model")
    if prompt is None:
        raise UserError(f"refine.senses is {params.refine.senses}, but there is no prompt prompts.refine.senses; restore it in params.yaml")
    if len(recordings.slots.where(Split.EXPLAIN)) < 2:
        return {}
    count = fitting(model)
    shown = {row: excerpts(recordings, row) for row in sorted(kept)}
    asked = {row: request(kept[row].text or "", shown[row], prompt, params.refine, params.explain, model, count) for row in sorted(kept)}
    limit = FailureLimit("answers about senses", "refine", params.limits.max_failed_share, len(asked))
    questions = [one for one in asked.values() if one is not None]
    if len(questions) < len(asked):
        limit.add(Status.TOO_LONG, len(asked) - len(questions))

    def arrived(place: int, answer: Reply | ProviderError) -> None:
        if (status := read(answer, questions[place].excerpts, prompt).status) is not Status.OK:
            limit.add(status)

    with opened(params.explain.model, model, "senses") as client:
        answers = iter(client.ask([one.request for one in questions], NAMING, arrived))
    return {row: Answer(Status.TOO_LONG) if one is None else read(next(answers), one.excerpts, prompt) for row, one in asked.items()}


class Question(NamedTuple):
    """A question, and how many excerpts it shows."""

    request: Request
    excerpts: int


def request(
    explanation: str,
    shown: list[Excerpt],
    prompt: SensesPrompt,
    params: RefineParams,
    explain: ExplainParams,
    model: ModelParams,
    count: Count,
) -> Question | None:
    """One unit's question; its weakest excerpts are left out until it fits, None where two do not."""
    room = model.context - params.max_tokens - 2 * PER_MESSAGE - count(prompt.system)
    for kept in range(len(shown), 1, -1):
        lines = [fill(prompt.excerpt, number=str(number), lines=highlighted(one, prompt)) for number, one in enumerate(shown[:kept], 1)]
        text = fill(prompt.question, explanation=" ".join(explanation.split()), excerpts="\n".join(lines), count=str(params.senses))
        if count(text) <= room:
            made = Request(
                provider=model.provider,
                model=model_id(model),
                messages=(Message("system", prompt.system), Message("user", text)),
                temperature=explain.temperature,
                max_tokens=params.max_tokens,
                sample=explain.seed * 1000 if explain.temperature > 0 else 0,
            )
            return Question(made, kept)
    return None


def read(reply: Reply | ProviderError, excerpts: int, prompt: SensesPrompt) -> Answer:
    """The sentences of an answer, equal ones as one; lines without brackets are passed over."""
    if isinstance(reply, ProviderError):
        return Answer(Status(reply.status))
    if reply.finish_reason == "content_filter" or refused(reply.text):
        return Answer(Status.REFUSED)
    lines = [line for line in reply.text.splitlines() if line.strip()]
    cut_off = reply.finish_reason == "length"
    found: dict[str, tuple[str, set[int]]] = {}
    for match in filter(None, map(LINE.match, lines[:-1] if cut_off else lines)):  # The last sentence is cut off.
        numbers = [part for part in SEPARATOR.split(match["numbers"].strip()) if part]
        said = phrase(match["text"], prompt)
        if not numbers or said.text is None or not all(part.isdecimal() and 1 <= int(part) <= excerpts for part in numbers):
            return Answer(Status.UNPARSABLE)
        found.setdefault(said.text.casefold(), (said.text, set()))[1].update(int(part) - 1 for part in numbers)
    if not found:
        return Answer(Status.CUT_OFF if cut_off else Status.UNPARSABLE)
    return Answer(Status.OK, tuple((text, tuple(sorted(places))) for text, places in found.values()))
