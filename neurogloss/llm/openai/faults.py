"""What an answer over HTTP means: worth another try, the end of this request, or the end of the stage."""

import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from neurogloss.artifacts.status import Status
from neurogloss.llm.openai.bodies import sound

RETRY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
TOO_LONG = re.compile(
    r"context[ _](length|size|window|limit)|maximum context|too long|too many tokens|exceeds? the (available )?context|n_ctx"
    r"|exceeds the maximum number of tokens|maximum prompt length|longer than the maximum model length|tokens.*must be <="
    r"|must have less than|range of input length|exceeded model token limit|exceeds max length",
    re.I,
)
NEVER_FITS = re.compile(r"request too large.*requested \d|input length exceeds the context length", re.I | re.S)
"""Too long under a status that is worth another try for anything else (429, 500)."""
REFUSED = re.compile(r"content[_ ]?(filter|policy|management)|flagged|safety", re.I)
QUOTA = re.compile(r"insufficient[_ ](quota|funds|balance|credits)|billing|exceeded your current quota|credit balance", re.I)
RETRY_IN = re.compile(r"(?:retry|try again) in (\d[\w.]*)(?: (second|minute|hour|day))?", re.I)
"""A wait that is given in the message only, as Gemini and OpenAI do."""
FORMS = {
    "max_completion_tokens": re.compile(r"max_completion_tokens\W*instead", re.I),
    "own_temperature": re.compile(
        r"temperature.*(not support|unsupported|only the default|deprecated|only .* allowed|may only be|extra_forbidden|not permitted)"
        r"|(not support|unsupported|only .* allowed|unrecognized|extra_forbidden|deprecated).*temperature",
        re.I | re.S,
    ),
}
"""Forms of a request that an endpoint can ask for, by its complaint: newer OpenAI models refuse `max_tokens` and any temperature."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no answer, and what follows."""

    what: Literal["retry", "stop", "too_long", "refused", "again"]
    """`again`: at once, in the form the endpoint asks for."""
    message: str
    """One line in the server's words or ours; not yet redacted."""
    after_s: float | None = None
    """How long the server asks to wait."""
    limited: bool = False
    """It is the rate limit (429): counts against the time for retries, not against their number."""
    status: int = 0
    """Of HTTP."""
    form: str = ""
    """One of FORMS, where it is `again`."""


def fault(status: int, headers: Mapping[str, str], text: str) -> Fault | None:
    """What an HTTP answer means; None where it holds an answer in JSON."""
    if status < 300:
        return unusable(text, headers)
    message, code = complaint(text)
    said = f"HTTP {status}: {message.rstrip(' .') or code or 'no reason given'}"
    after_s = wait_s(headers)
    if after_s is None and (found := RETRY_IN.search(message)):
        after_s = seconds_of(found[1].rstrip(".") + (found[2] or "")[:1])
    # Who says when to come back means a limit per minute or day, whatever else the message says of quotas and billing.
    if status == 402 or QUOTA.search(code) or (after_s is None and QUOTA.search(message)):
        return Fault(
            "stop", f"{said}; the quota or the credit is used up: add credit and run again, what was answered is kept", status=status
        )
    if status in (429, 500) and NEVER_FITS.search(message):
        return Fault("too_long", said, status=status)
    if status in RETRY or (status >= 500 and status != 501):
        return Fault("retry", said, after_s, status == 429, status)
    if status in (400, 422) and (form := next((name for name, complaint in FORMS.items() if complaint.search(message)), "")):
        return Fault("again", said, status=status, form=form)
    if status in (400, 413, 422) and (status == 413 or TOO_LONG.search(f"{code} {message}")):
        return Fault("too_long", said, status=status)
    if status in (400, 403, 422) and REFUSED.search(f"{code} {message}"):
        return Fault("refused", said, status=status)
    return Fault("stop", f"{said}{ADVICE.get(status, '; the request is malformed for this endpoint')}", status=status)


ADVICE = {
    **dict.fromkeys((301, 302, 303, 307, 308), "; it sends elsewhere, which is not followed: put the new address into {base_url_from}"),
    401: "; the key is wrong or expired: check {key_from}",
    403: "; the key may not use this model: check {key_from} and the project's rights",
    404: "; no such model or path: check models.{name}.name ({model}) and that {base_url_from} ends as the server wants, often /v1",
    405: "; no such path: check that {base_url_from} ends as the server wants, often /v1",
    501: "; the endpoint cannot do this",
}


def unusable(text: str, headers: Mapping[str, str]) -> Fault | None:
    """Why an answer with a good status is none: a web page, no JSON, or an error inside."""
    start = text.lstrip()[:200].lower()
    if start.startswith(("<!doctype", "<html", "<head", "<?xml")) or "text/html" in headers.get("content-type", ""):
        return Fault("stop", "it answered with a web page: a proxy or a login stands between, or {base_url_from} is not the API's address")
    try:
        value = json.loads(text)
    except ValueError:
        return Fault("retry", "the body is no JSON")
    if not isinstance(value, dict):
        return Fault("retry", "the body is no JSON object")
    if value.get("error") and not value.get("choices"):
        error = value["error"]
        code = error.get("code") if isinstance(error, dict) else None
        inner = code if isinstance(code, int) and 400 <= code < 600 else 500
        return fault(inner, headers, text)
    return None


def complaint(text: str) -> tuple[str, str]:
    """The message and the code in an error's body, whatever its form.

    >>> complaint('{"error": {"message": "no", "code": "bad", "type": "t"}}')
    ('no', 'bad t')
    >>> complaint('{"detail": "Not Found"}')
    ('Not Found', '')
    >>> complaint('[{"error": {"message": "slow down", "code": 429}}]')
    ('slow down', '429')
    """
    try:
        value: Any = json.loads(text)
    except ValueError:
        return ("a web page" if text.lstrip().startswith("<") else text[:200]), ""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return text[:200], ""
    error = value.get("error", value)
    if not isinstance(error, dict):
        return str(error)[:500], ""
    message = error.get("message") or error.get("detail") or error.get("msg") or ""
    codes = [str(error[key]) for key in ("code", "type") if error.get(key)]
    return sound(message if isinstance(message, str) else json.dumps(message))[:1000], sound(" ".join(codes))


def wait_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds the server asks to wait (`Retry-After` in seconds or as a date, `retry-after-ms`); None where it does not say.

    >>> wait_s({"retry-after": "2"}), wait_s({"retry-after-ms": "250"}), wait_s({"retry-after": "soon"})
    (2.0, 0.25, None)
    """
    milliseconds = seconds_of(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "").strip()
    seconds = seconds_of(text)
    if seconds is not None or not text:
        return seconds
    try:
        date = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return max(0.0, date - (time.time() if now is None else now))


UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of(text: str) -> float | None:
    """Seconds in a duration as headers write it; None for anything else.

    >>> [seconds_of(text) for text in ("6m0s", "12ms", "1h2m3.5s", "0.5", "", "-1", "later")]
    [360.0, 0.012, 3723.5, 0.5, None, None, None]
    """
    text = text.strip().lower()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        return float(text)
    parts = re.findall(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    seconds = math.fsum(float(number) * UNITS[unit] for number, unit in parts)
    return round(seconds, 6)


def status_of(what: str) -> Status:
    """The status of a request that ended with this fault."""
    return {"too_long": Status.TOO_LONG, "refused": Status.REFUSED}.get(what, Status.UNANSWERED)
