"""Where an OpenAI-compatible endpoint is and with which key, read from the environment; neither ever stands in a file or a message."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from neurogloss.config.models import ModelParams
from neurogloss.config.secrets import KEY_LIKE
from neurogloss.errors import UserError

OPENAI = "https://api.openai.com/v1"
OPENAI_HOST = re.compile(r"([a-z]+\.)?api\.openai\.com")
OPENAI_HEADERS = {"openai-organization": "OPENAI_ORG_ID", "openai-project": "OPENAI_PROJECT_ID"}
"""Headers and variables that are for OpenAI alone."""
VERSION = re.compile(r"version", re.I)
"""Names in a query that hold nothing secret."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address with its key."""

    base_url: str = field(repr=False)
    """With its query, which can hold a key."""
    key: str = field(repr=False)
    """Empty where there is none."""
    key_from: str
    base_url_from: str
    more: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers that `models.*.headers_from` names, with their values."""

    @property
    def shown(self) -> str:
        """The address, equal for all the ways of writing it; it holds neither password nor query."""
        parts = urlsplit(self.base_url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        return urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path.rstrip("/"), "", ""))

    @property
    def headers(self) -> dict[str, str]:
        """What identifies the sender: the key, what `headers_from` names (which may replace it), at OpenAI organisation and project."""
        found = {"authorization": f"Bearer {self.key}"} if self.key else {}
        if OPENAI_HOST.fullmatch(urlsplit(self.base_url).hostname or ""):
            found |= {header: value for header, name in OPENAI_HEADERS.items() if (value := os.environ.get(name, "").strip())}
        return found | {header.lower(): value for header, value in self.more.items()}

    @property
    def secrets(self) -> list[str]:
        """The key, the headers' values and those of the query, the longest first."""
        queried = (value for name, value in parse_qsl(urlsplit(self.base_url).query) if not VERSION.search(name))
        given = {secret for value in self.more.values() for secret in (value, value.rpartition(" ")[2])}
        return sorted((secret for secret in {self.key, *given, *queried} if len(secret) > 3), key=lambda secret: (-len(secret), secret))

    def redacted(self, text: str) -> str:
        """One line of at most 300 characters, without these secrets and without what looks like one."""
        for secret in self.secrets:
            text = text.replace(secret, "[key]")
        line = " ".join(KEY_LIKE.sub("[key]", text).split())
        return line if len(line) <= 300 else line[:297] + "..."

    def without_secrets(self, answer: str) -> str:
        """An answer without a secret that the server echoes; what could be a word of its own, such as the key `ollama`, stays."""
        for secret in self.secrets:
            if len(secret) >= 16 or (len(secret) > 5 and re.search(r"\d", secret) and re.search("[A-Za-z]", secret)):
                answer = answer.replace(secret, "[key]")
        return answer


def endpoint(model: ModelParams, need_key: bool = True) -> Endpoint:
    """The endpoint of a model; UserError names the variable that is missing or wrong. Who asks nothing needs no key.

    A model of provider litellm finds its service and that one's key by itself, unless the params name others.
    An endpoint of its own never gets the key that is meant for another.
    """
    service = model.name.partition("/")[0] if model.provider == "litellm" and not model.base_url_from else ""
    key_from = model.key_from or ("" if service or model.base_url_from else "OPENAI_API_KEY")
    base_url = f"litellm://{service}" if service else address(model, key_from)
    shown = Endpoint(base_url, "", "", "").shown
    key = secret_of(key_from)
    if need_key and not key and (model.key_from or (base_url == OPENAI and not model.headers_from)):
        raise UserError(f"{key_from} is not set; put the key for {shown} into it (it is never written anywhere)")
    more = {header: secret_of(variable, inner=" ") for header, variable in model.headers_from.items()}
    missing = [variable for header, variable in model.headers_from.items() if not more[header]]
    if need_key and missing:
        raise UserError(f"{missing[0]} is not set; put what {shown} wants in that header into it (it is never written anywhere)")
    more = {header: value for header, value in more.items() if value}
    nobody = f"the variables that LiteLLM reads for {service}" if service else "models.{name}.key_from (it names no variable)"
    return Endpoint(base_url, key, key_from or nobody, model.base_url_from or "OPENAI_BASE_URL", more)


def address(model: ModelParams, key_from: str) -> str:
    """Where the endpoint is; UserError names the variable that is missing or wrong."""
    base_url_from = model.base_url_from or "OPENAI_BASE_URL"
    base_url = os.environ.get(base_url_from, "").strip()
    if not base_url and model.base_url_from:
        raise UserError(f"{base_url_from} is not set; it must hold the address of {model.name}, such as http://localhost:8000/v1")
    base_url = base_url or OPENAI
    try:
        parts = urlsplit(base_url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise UserError(f"{base_url_from} is not an address; expected one such as http://localhost:8000/v1")
    if parts.username or parts.password or parts.fragment:
        variable = key_from or "a variable that models.*.key_from names"
        raise UserError(
            f"{base_url_from} holds a user, a password or a fragment; an endpoint takes a path and a query. Put a key into {variable},"
            " the value of another header into one that models.*.headers_from names"
        )
    return base_url


def secret_of(variable: str, inner: str = "") -> str:
    """What a variable holds, without blanks around it; UserError where no header can hold it. `inner` are blanks that may stand inside."""
    value = os.environ.get(variable, "").strip() if variable else ""
    if not value.isascii() or not value.isprintable() or (" " in value and not inner):
        raise UserError(f"{variable} holds a blank, a line break or a character that no key has; copy the key again")
    return value
