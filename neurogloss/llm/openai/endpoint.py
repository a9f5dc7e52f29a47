"""Where an OpenAI-compatible endpoint is and with which key, read from the environment; neither ever stands in a file or a message."""

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from neurogloss.config.models import ModelParams
from neurogloss.config.secrets import KEY_LIKE
from neurogloss.errors import UserError

OPENAI = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address with its key."""

    base_url: str = field(repr=False)
    key: str = field(repr=False)
    key_from: str
    base_url_from: str

    @property
    def shown(self) -> str:
        """The address, equal for all the ways of writing it; it holds no password."""
        parts = urlsplit(self.base_url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        return urlunsplit((parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path.rstrip("/"), "", ""))

    def redacted(self, text: str) -> str:
        """One line of at most 300 characters, without this key and without what looks like one."""
        if len(self.key) > 3:
            text = text.replace(self.key, "[key]")
        line = " ".join(KEY_LIKE.sub("[key]", text).split())
        return line if len(line) <= 300 else line[:297] + "..."


def endpoint(model: ModelParams, need_key: bool = True) -> Endpoint:
    """The endpoint of a model; UserError names the variable that is missing or wrong. Who asks nothing needs no key.

    An endpoint of its own never gets the key that is meant for another.
    """
    base_url_from = model.base_url_from or "OPENAI_BASE_URL"
    key_from = model.key_from or ("" if model.base_url_from else "OPENAI_API_KEY")
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
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError(
            f"{base_url_from} holds a user, a password or a query; an endpoint takes a path and a key, put the key into {key_from}"
        )
    key = os.environ.get(key_from, "").strip() if key_from else ""
    if need_key and not key and (model.key_from or base_url == OPENAI):
        raise UserError(
            f"{key_from} is not set; put the key for {Endpoint(base_url, '', '', '').shown} into it (it is never written anywhere)"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(f"{key_from} holds a blank, a line break or a character that no key has; copy the key again")
    # A server of one's own often wants no key, but the header has to hold something.
    return Endpoint(base_url, key or "none", key_from or "models.{name}.key_from (it names no variable)", base_url_from)
