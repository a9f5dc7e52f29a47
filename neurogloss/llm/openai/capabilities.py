"""What an endpoint can do beyond answering: found out once by a small question, and remembered beside the replies."""

import json
import logging
import re
from collections.abc import Callable

from neurogloss.config.models import ModelParams
from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.cache import Cache
from neurogloss.llm.openai.driver import StoppedError
from neurogloss.llm.openai.endpoint import endpoint
from neurogloss.llm.openai.faults import FORMS
from neurogloss.llm.request import Answer, Capability, Message, PaidError, Reply, Request

logger = logging.getLogger(__name__)

CANNOT = frozenset({400, 404, 405, 415, 422, 501})
"""HTTP statuses by which an endpoint says that it does not know a path or an option."""
LIMITS = (32, 2000)
"""Tokens of the answer: a second, longer try is for a model that thinks first."""
IMPORTED = ""
"""Stands for the address of an endpoint that another machine asked."""
NO_MODEL = re.compile(r"model_not_found|model .*(not found|does not exist)", re.I)
SCHEMA = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"], "additionalProperties": False}


class KnownCapabilities:
    """What is remembered of one model at one endpoint."""

    def __init__(self, cache: Cache, base_url: str, model: str) -> None:
        self.cache = cache
        self.base_url = base_url
        """Without a password."""
        self.model = model
        rows = cache.run("SELECT capability, offered FROM endpoints WHERE base_url = ? AND model = ?", (base_url, model))
        self.offered = {capability: bool(offered) for capability, offered in rows}

    def says(self, capability: str) -> bool | None:
        """Whether it can; None where nobody asked yet."""
        return self.offered.get(capability)

    def forms(self) -> frozenset[str]:
        """The forms of a request (`neurogloss.llm.openai.faults.FORMS`) that the endpoint asked for."""
        return frozenset(form for form in FORMS if self.offered.get(form))

    def learn_form(self, form: str) -> None:
        """Remember a form; several requests under way may bring the same complaint."""
        if self.offered.get(form):
            return
        self.learn(form, True)
        if form == "own_temperature":
            logger.warning("%s takes no temperature, so it answers at its own: answers to one question may differ", self.model)

    def learn(self, capability: str, offered: bool) -> None:
        """Remember."""
        self.offered[capability] = offered
        self.cache.change("INSERT OR REPLACE INTO endpoints VALUES (?,?,?,?)", (self.base_url, self.model, capability, int(offered)))


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
            if says_no(error):
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


def says_no(error: StoppedError) -> bool:
    """Whether the endpoint said that it does not know the option, and not that something else is wrong."""
    if error.status == 403:
        return "logprob" in str(error)
    return error.status in CANNOT and not NO_MODEL.search(str(error))


def question(capability: Capability, model: str, limit: int) -> Request:
    """The small question."""
    if capability == "echo":
        return Request("openai", model, prompt="the\tunknown\ncat\tunknown\n", max_tokens=0, echo="unknown", top_logprobs=2)
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
