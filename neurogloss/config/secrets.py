"""What looks like a key or a password, so that none gets into a file or a message."""

import re
from collections.abc import Iterator
from typing import Any

KEY_LIKE = re.compile(r"\b(?:sk|gsk|hf|xai|pplx|or)[-_][\w*.-]{6,}")
"""What keys of known services look like, also when a server shows them half masked."""
NAME = re.compile(
    r"(^|[_-])(api[_-]?key|access[_-]?key|private[_-]?key|subscription[_-]?key|secret|password|passwd|passphrase|credentials?"
    r"|authorization|bearer|(auth|access|id|refresh)[_-]?token)s?$|^(token|key|auth|pwd)$",
    re.I,
)
"""Names of what should be secret."""
VALUE = re.compile(
    r"\b(?:sk|gsk|hf|xai|pplx|or|key|nvapi|csk|tgp|ghp|github_pat)[-_](?=[\w-]*\d)[\w-]{12,}|\bAIza[\w-]{30,}|\bAKIA[A-Z0-9]{12,}|\bbearer\s+\S{8,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}|\b(?=[A-Za-z0-9]*\d[A-Za-z0-9]*\d)(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9]{28,}\b",
    re.I,
)
"""Texts that are keys: of known services, or long and without a word."""


def secret_places(value: Any, place: str = "") -> Iterator[str]:
    """Where something in JSON looks like a secret, as dotted names.

    >>> list(secret_places({"provider": {"api_key": "x"}, "stop_token_ids": [1], "note": "sk-proj-0123456789abcdef"}))
    ['provider.api_key', 'note']
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            name = f"{place}.{key}" if place else str(key)
            if NAME.search(str(key)) and inner not in (None, "", False, True):
                yield name
            else:
                yield from secret_places(inner, name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from secret_places(inner, f"{place}.{number}")
    elif isinstance(value, str) and VALUE.search(value):
        yield place


def shown(value: Any) -> str:
    """A value for a message; what looks like a secret is left out."""
    text = repr(value)
    return "something that looks like a secret" if VALUE.search(text) or KEY_LIKE.search(text) else text
