"""Answers from a file: the output of OpenAI's batch API, of `vllm run-batch`, or of anybody who writes the same lines.

    {"custom_id": as in the question, "response": {"status_code": 200, "body": {"choices": [{"message": {"content": "..."}}]}}}

Lines may stand in any order. What is good is kept; every other line is named by its number, and so is every question without an answer.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurogloss.artifacts.status import Status
from neurogloss.errors import UserError
from neurogloss.exchange.written import WrittenQuestion, forget, lines_left, recall
from neurogloss.llm.cache import Cache, CachedReply
from neurogloss.llm.logprobs import levels_only
from neurogloss.llm.openai.bodies import answer, plain, sound
from neurogloss.llm.openai.capabilities import KnownCapabilities
from neurogloss.llm.openai.faults import complaint, fault
from neurogloss.llm.request import PaidError, Reply, Usage

AT_ONCE = 500
"""Lines in memory."""


class RowError(Exception):
    """A line that holds no answer, and why."""


@dataclass
class ImportedAnswers:
    """What an import did."""

    added: int = 0
    known: int = 0
    """Their answers were there already."""
    problems: list[str] = field(default_factory=list)
    """Lines without an answer that can be used: the number and why."""
    left: dict[str, list[int]] = field(default_factory=dict)
    """By file of questions the lines that have no answer yet."""
    other_models: Counter[str] = field(default_factory=Counter)
    """Models that say they answered, where they are not the one that was asked for."""


class Import:
    """One file on its way into the cache."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.done = ImportedAnswers()
        self.taken: dict[str, int] = {}
        """Line by key."""
        self.files: set[str] = set()

    def add(self, rows: list[tuple[int, str, dict[str, Any]]]) -> None:
        """Some lines: number, id, content."""
        asked = recall(self.cache, (key for _, key, _ in rows))
        known = {key for key, _ in self.cache.each(key for _, key, _ in rows)}
        kept: dict[str, CachedReply] = {}
        for number, key, value in rows:
            try:
                if key in self.taken:
                    raise RowError(f"the question of line {self.taken[key]} again; that one stays")
                if key in known:
                    self.done.known += 1
                elif key in asked:
                    kept[key] = self.read(asked[key], value)
                else:
                    raise RowError(f"no question that was written here has the id {key[:80]!r}")
                self.taken[key] = number
            except RowError as error:
                self.done.problems.append(f"line {number}: {error}")
        self.files |= {question.file for question in asked.values()}
        self.done.added += self.cache.keep_all(kept.items())
        forget(self.cache, [*kept, *(known & set(asked))])

    def read(self, question: WrittenQuestion, value: dict[str, Any]) -> CachedReply:
        """The answer in a line; RowError where there is none."""
        found = answered(question, value, self.cache)
        model = body_of(value).get("model")
        if isinstance(model, str) and not model.startswith(question.name):
            self.done.other_models[sound(model)[:80]] += 1
        return CachedReply(question.model, found, 0.0, 0.0)


def import_answers(cache: Cache, path: Path) -> ImportedAnswers:
    """Keep the answers of a file; UserError where no line of it answers a question that was written here."""
    found, lines = Import(cache), 0
    for chunk in chunks(path):
        rows = []
        for number, raw in chunk:
            lines += 1
            try:
                rows.append((number, *identified(raw)))
            except RowError as error:
                found.done.problems.append(f"line {number}: {error}")
        found.add(rows)
    if not lines:
        raise UserError(f"{path} is empty; expected answers, or what `neurogloss cache export` writes")
    if not found.taken and not found.files:
        raise UserError(
            f"{path}: none of its {lines} lines answers a question that was written here ({found.done.problems[0]}); "
            "write the questions with `neurogloss questions` and the params that they came from, then import again"
        )
    found.done.left = {file: left for file in sorted(found.files) if (left := lines_left(cache, file))}
    return found.done


def chunks(path: Path) -> Iterator[list[tuple[int, bytes]]]:
    """Lines that are not blank with their numbers, some at a time."""
    chunk: list[tuple[int, bytes]] = []
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if raw.strip():
                    chunk.append((number, raw))
                if len(chunk) == AT_ONCE:
                    yield chunk
                    chunk = []
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    yield chunk


def identified(raw: bytes) -> tuple[str, dict[str, Any]]:
    """The id and the content of a line."""
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise RowError(f"no JSON ({type(error).__name__})") from error
    key = value.get("custom_id") if isinstance(value, dict) else None
    if not isinstance(key, str):
        raise RowError("no object with a custom_id")
    return key, value


def body_of(value: dict[str, Any]) -> dict[str, Any]:
    """What the model's server said, which some tools write without a status around it; nothing where it said nothing."""
    response = value.get("response")
    content = response.get("body", response) if isinstance(response, dict) else None
    return content if isinstance(content, dict) else {}


def answered(question: WrittenQuestion, value: dict[str, Any], cache: Cache) -> Reply | PaidError:
    """What the question gets: a reply, or that it was refused, which asking again would not change."""
    content = body_of(value)
    if not content:
        raise RowError(f"not answered: {complaint(json.dumps({'error': value.get('error') or 'no response'}))[0]}")
    status = value["response"].get("status_code", 200)
    problem = fault(status if isinstance(status, int) and 100 <= status < 600 else 500, {}, json.dumps(content))
    if problem is not None:
        if problem.what == "again":
            known = KnownCapabilities(cache, question.base_url, question.name)
            known.adapt(problem, plain(question.request, question.name), {})
            known.keep_trial()
            raise RowError(f"not answered: {problem.message}; questions that are written from now on leave it out")
        if problem.what != "refused":
            longer = f"; lower models.{question.model}.context to what fits" if problem.what == "too_long" else ""
            raise RowError(f"not answered: {' '.join(problem.message.split())[:200]}{longer}")
        return PaidError(Status.REFUSED, problem.message, Usage())
    # Who answers by hand counts no tokens.
    uncounted = {} if content.get("usage") else {"usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    try:
        found = answer(question.request, content | uncounted)
    except Exception as error:  # Whatever stands in a line of a foreign file is a fault of this line alone
        raise RowError(f"no answer ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(found, Reply | PaidError) or found_nothing(found):
        raise RowError(f"no answer ({found})")
    return levels_only(question.request, found)


def found_nothing(found: Reply | PaidError) -> bool:
    """Whether a prompt was not echoed, so that another server may do better."""
    return isinstance(found, PaidError) and found.status == Status.UNPARSABLE
