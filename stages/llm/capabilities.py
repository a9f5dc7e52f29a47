"""What an endpoint can do beyond answering: found out once by a small question, and remembered beside the replies."""

import json
import re
from collections.abc import Callable

from stages.artifacts.status import Status
from stages.errors import ProviderError, UserError
from stages.llm.cache import Cache
from stages.llm.drive import StoppedError
from stages.llm.request import Answer, Capability, Message, PaidError, Reply, Request

CANNOT = frozenset({400, 404, 405, 415, 422, 501})
"""HTTP statuses by which an endpoint says that it does not know a path or an option."""
NO_MODEL = re.compile(r"model_not_found|model .*(not found|does not exist)", re.I)
SCHEMA = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"], "additionalProperties": False}


class Known:
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

    def learn(self, capability: str, offered: bool) -> None:
        """Remember."""
        self.offered[capability] = offered
        self.cache.change("INSERT OR REPLACE INTO endpoints VALUES (?,?,?,?)", (self.base_url, self.model, capability, int(offered)))


def probe(capability: Capability, ask: Callable[[Request], Answer], name: str, model: str) -> bool:
    """Ask a small question that needs the capability; UserError where the endpoint cannot even be asked."""
    try:
        said = ask(question(capability, model))
    except StoppedError as error:
        if error.status in CANNOT and not NO_MODEL.search(str(error)):
            return False
        raise
    if isinstance(said, ProviderError) and not isinstance(said, PaidError) and said.status != Status.UNPARSABLE:
        raise UserError(f"cannot find out whether {model} offers {capability}: {said}; say it in models.{name}.capabilities, or run again")
    return isinstance(said, Reply) and shown(capability, said)


def question(capability: Capability, model: str) -> Request:
    """The small question."""
    if capability == "echo":
        return Request("openai", model, prompt="the\tunknown\ncat\tunknown\n", max_tokens=0, echo="unknown", top_logprobs=2)
    asked = (Message("user", "What colour is the sky? One word."),)
    if capability == "top_logprobs":
        return Request("openai", model, messages=asked, max_tokens=1, top_logprobs=2)
    # Room for a model that thinks first.
    return Request("openai", model, messages=asked, max_tokens=1000, json_schema=json.dumps(SCHEMA))


def shown(capability: Capability, reply: Reply) -> bool:
    """Whether the reply has what was asked for; some servers take an option and ignore it."""
    if capability == "json_schema":
        try:
            value = json.loads(reply.text)
        except ValueError:
            return False
        return isinstance(value, dict) and isinstance(value.get("colour"), str)
    return bool(reply.tokens) and all(token.alternatives for token in reply.tokens)
