"""What an endpoint can do beyond answering: found out once by a small question, and remembered beside the replies."""

import contextlib
import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from neurogloss.config.models import ModelParams
from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.cache import Cache
from neurogloss.llm.openai.driver import StoppedError
from neurogloss.llm.openai.endpoint import endpoint
from neurogloss.llm.openai.faults import KEY, MODEL, Fault
from neurogloss.llm.openai.forms import ANY, FORMS, RENAMES, Forms, reshaped
from neurogloss.llm.request import Answer, Capability, Message, PaidError, Reply, Request

logger = logging.getLogger(__name__)

CANNOT = frozenset({400, 404, 405, 415, 422, 501})
"""HTTP statuses by which an endpoint says that it does not know a path or an option."""
NO_PATH = frozenset({404, 405, 501})
LIMITS = (32, 2000)
"""Tokens of the answer: a second, longer try is for a model that thinks first."""
IMPORTED = ""
"""Stands for the address of an endpoint that another machine asked."""
OPTION = re.compile(r"logprob|\becho\b|response.?format|json.?schema|(parameter|option|argument) is not supported", re.I)
SCHEMA = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"], "additionalProperties": False}


class KnownCapabilities:
    """What is remembered of one model at one endpoint."""

    def __init__(self, cache: Cache, base_url: str, model: str) -> None:
        self.cache = cache
        self.base_url = base_url
        """Without a password."""
        self.model = model
        """Its name at the endpoint."""
        rows = cache.run("SELECT capability, offered FROM endpoints WHERE base_url = ? AND model = ?", (base_url, model))
        self.offered: dict[str, int] = dict(rows)
        self.trial: dict[str, int] = {}
        """Forms that nobody knows yet to help."""
        self.guesses: list[str] = []
        """Of those, in order, the ones for which no complaint named a parameter."""

    def says(self, capability: str) -> bool | None:
        """Whether it can; None where nobody asked yet."""
        return bool(self.offered[capability]) if capability in self.offered else None

    def forms(self) -> dict[str, int]:
        """The forms of a request (`neurogloss.llm.openai.forms`) that the endpoint wants, those on trial included, with their numbers."""
        return {form: number for form, number in self.offered.items() if form in FORMS and number} | self.trial

    def adapt(self, problem: Fault, usual: dict[str, Any], sent: Forms) -> Fault:
        """Put the next form that a complaint suggests on trial; the fault ends the stage where none is left that changes the request.

        `usual` is the request without any form, `sent` are those in which it went out. Several requests under way may bring the same
        complaint: who sent fewer forms than there are by now asks again.
        """
        if problem.what != "again":
            return problem
        forms = self.forms()
        before = reshaped(usual, sent)
        if reshaped(usual, forms) != before:
            return problem
        for form in problem.forms:
            if reshaped(usual, forms | {form.name: form.number}) != before:
                self.trial[form.name] = form.number
                if problem.forms == ANY:
                    self.guesses.append(form.name)
                return problem
        return replace(problem, what="stop")

    def answered(self, usual: dict[str, Any], sent: Forms) -> None:
        """Remember the forms on trial that this request, which was answered, needed: of mere guesses the last one."""
        if not self.trial:
            return
        needed = [form for form in self.trial if form in sent and reshaped(usual, without(sent, form)) != reshaped(usual, sent)]
        if self.guesses and self.guesses[-1] in needed:
            for form in self.guesses[:-1]:
                self.trial.pop(form, None)
            self.guesses.clear()
        for form in needed:
            if form in self.trial and form not in self.guesses:
                self.learn(form, self.trial.pop(form))
                said = FORMS[form].format(number=sent[form])
                level = logging.INFO if form in RENAMES else logging.WARNING
                logger.log(level, "%s %s; kept for later runs until `neurogloss cache forget %s`", self.model, said, self.model)

    def keep_trial(self) -> None:
        """Remember what is on trial, where nobody here sees whether it helps."""
        for form, number in self.trial.items():
            self.learn(form, number)

    def learn(self, capability: str, offered: int) -> None:
        """Remember."""
        self.offered[capability] = offered
        self.cache.change("INSERT OR REPLACE INTO endpoints VALUES (?,?,?,?)", (self.base_url, self.model, capability, int(offered)))


def without(forms: Forms, name: str) -> dict[str, int]:
    """All forms but one."""
    return {form: number for form, number in forms.items() if form != name}


def forgotten(cache: Cache, model: str) -> int:
    """Drop what was found out about a model, by its name at the endpoint, everywhere; how many things that were. Replies stay."""
    return cache.change("DELETE FROM endpoints WHERE model = ?", (model,))


def remembered(cache: Cache, model: ModelParams, capability: Capability) -> bool | None:
    """What an earlier run found out, so that a rerun needs no key; where the endpoint cannot be asked, at any endpoint.

    None where nobody asked yet.
    """
    try:
        known = KnownCapabilities(cache, endpoint(model, need_key=False).shown, model.name).says(capability)
        if known is None:
            endpoint(model)
    except UserError:
        statement = "SELECT offered FROM endpoints WHERE model = ? AND capability = ? ORDER BY rowid DESC LIMIT 1"
        rows = cache.run(statement, (model.name, capability))
        known = bool(rows[0][0]) if rows else None
    return known


def probe(capability: Capability, ask: Callable[[Request], Answer], name: str, model: str) -> bool:
    """Ask a small question that needs the capability; UserError where the endpoint cannot even be asked."""
    said: Answer = Reply("")
    for limit in LIMITS:
        try:
            said = ask(question(capability, model, limit))
        except StoppedError as error:
            if says_no(error, capability) or (error.status in CANNOT and otherwise(capability, ask, model)):
                return False
            raise
        if isinstance(said, ProviderError) and not isinstance(said, PaidError):
            raise UserError(
                f"cannot find out whether {model} offers {capability}: {said}; say it in endpoints.{name}.capabilities, or run again"
            )
        if isinstance(said, PaidError) or answers_with(capability, said):
            break
        if capability == "echo" or said.finish_reason != "length":
            break
    return isinstance(said, Reply) and answers_with(capability, said)


def says_no(error: StoppedError, capability: Capability) -> bool:
    """Whether the endpoint speaks of the option itself, or does not know the path, and not of the key or the model."""
    text = str(error)
    if KEY.search(text) or MODEL.search(text):
        return False
    if error.status == 403:
        return "logprob" in text
    return error.status in CANNOT and bool(OPTION.search(text) or (capability == "echo" and error.status in NO_PATH))


def otherwise(capability: Capability, ask: Callable[[Request], Answer], model: str) -> bool:
    """Whether the same question is answered without the option, so that it is the option that was refused."""
    usual = replace(question(capability, model, LIMITS[0]), top_logprobs=0, json_schema="")
    chat = replace(usual, messages=(Message("user", "What colour is the sky?"),), prompt="", echo="", max_tokens=LIMITS[0])
    for request in (replace(usual, echo="", max_tokens=1), chat) if capability == "echo" else (usual,):
        with contextlib.suppress(StoppedError):
            return isinstance(ask(request), Reply | PaidError)
    return False


def question(capability: Capability, model: str, limit: int) -> Request:
    """The small question."""
    if capability == "echo":
        return Request("openai", model, prompt=8 * "the\tunknown\ncat\tunknown\n", max_tokens=0, echo="unknown", top_logprobs=2)
    asked = (Message("user", "What colour is the sky? One word."),)
    if capability == "top_logprobs":
        return Request("openai", model, messages=asked, max_tokens=limit, top_logprobs=2)
    return Request("openai", model, messages=asked, max_tokens=limit, json_schema=json.dumps(SCHEMA))


def answers_with(capability: Capability, reply: Reply) -> bool:
    """Whether the reply has what was asked for; some servers take an option and ignore it."""
    if capability == "json_schema":
        try:
            value = json.loads(reply.text)
        except ValueError:
            return False
        return isinstance(value, dict) and isinstance(value.get("colour"), str)
    return bool(reply.tokens) and all(token.alternatives for token in reply.tokens)
