"""What an answer over HTTP means: worth another try, the end of this request, or the end of the stage."""

import email.utils
import json
import math
import re
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from neurogloss.artifacts.status import Status
from neurogloss.errors import ProviderError
from neurogloss.llm.openai.bodies import sound
from neurogloss.llm.openai.forms import TEMPLATE, Form, forms_for
from neurogloss.llm.request import PaidError, Usage, failure

RETRY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
TOO_LONG = re.compile(
    r"context[ _](length|size|window|limit)|maximum context|too long|too many tokens|exceeds? the (available )?context|n_ctx"
    r"|exceeds the maximum (number of tokens|allowed length)|maximum prompt length|longer than the maximum model length"
    r"|tokens.*must be <=|must have less than|range of input length|exceeded model token limit|exceeds max length"
    r"|exceeds? the (model.s )?(maximum|max)[a-z ]*length|exceeds the limit of \d+ tokens|(input|prompt).*(exceed|超过|超长)"
    r"|too large for model with",
    re.I | re.S,
)
NEVER_FITS = re.compile(
    r"request too large.*requested \d|(input|prompt|request).*(exceeds? the (available )?context|longer than the maximum model length)",
    re.I | re.S,
)
"""Too long under a status that is worth another try for anything else (429, 500)."""
PROMPT = re.compile(r"prompt|inputs?\b(?! validation)|messages|requested", re.I)
FILTERED = re.compile(r"content[_ ]?(filter|policy|management)|flagged|\bsafety\b", re.I)
QUOTA = re.compile(r"insufficient[_ ](quota|funds|balance|credits)|billing|exceeded your current quota|credit balance", re.I)
RETRY_IN = re.compile(r"(?:retry|try again) in (\d[\w.]*)(?: (second|minute|hour|day))?", re.I)
"""A wait that is given in the message only, as Gemini and OpenAI do."""
KEY = re.compile(
    r"api[ _-]?key\b[^.]{0,40}(not (valid|found)|invalid|incorrect|missing|expired|wrong|provided)"
    r"|(invalid|incorrect|wrong|missing|no) [^.]{0,20}api[ _-]?key"
    r"|no connected db|authentication|unauthori[sz]ed|api_key_invalid|invalid (access )?token",
    re.I,
)
"""The key is wrong; some services say so under 400."""
MODEL = re.compile(
    r"model_not_(found|available)|invalid_model|\bmodels?\b[^.]{0,80}(not found|(do|does) ?(not|n.t) exist|not exist)"
    r"|\bmodels/\S+ is not found|not found the model|(invalid|unknown) model\b|not a valid model|unable to access model"
    r"|deployment[^.]{0,40}not exist|模型不存在|server is pinned to",
    re.I,
)
"""There is no such model."""


class Complaint(NamedTuple):
    """What an error's body says."""

    message: str
    code: str = ""
    """Its code and type."""
    param: str = ""
    """The parameter it names beside the message."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no answer, and what follows."""

    what: Literal["retry", "stop", "too_long", "refused", "again"]
    """`again`: at once, in another form."""
    message: str
    """One line in the server's words or ours; not yet redacted."""
    after_s: float | None = None
    """How long the server asks to wait."""
    limited: bool = False
    """It is the rate limit (429): counts against the time for retries, not against their number."""
    status: int = 0
    """Of HTTP."""
    forms: tuple[Form, ...] = ()
    """Where it is `again`: what to try, the likeliest first."""


def fault(status: int, headers: Mapping[str, str], text: str) -> Fault | None:
    """What an HTTP answer means; None where it holds an answer in JSON."""
    if status < 300:
        return unusable(text, headers)
    said = complaint(text)
    message, code = said.message, said.code
    line = f"HTTP {status}: {message.rstrip(' .') or code or 'no reason given'}"
    after_s = wait_s(headers)
    if after_s is None and (found := RETRY_IN.search(message)):
        after_s = seconds_of(found[1].rstrip(".") + (found[2] or "")[:1])
    # Who says when to come back means a limit per minute or day, whatever else the message says of quotas and billing.
    if status == 402 or QUOTA.search(code) or (after_s is None and QUOTA.search(message)):
        return Fault(
            "stop", f"{line}; the quota or the credit is used up: add credit and run again, what was answered is kept", status=status
        )
    if status in (429, 500) and NEVER_FITS.search(message):
        return Fault("too_long", line, status=status)
    if status == 500 and TEMPLATE.search(message):
        return Fault("again", line, status=status, forms=(Form("no_system"),))
    if status in RETRY or (status >= 500 and status != 501):
        return Fault("retry", line, after_s, status == 429, status)
    return refusal(status, said, line)


def refusal(status: int, said: Complaint, line: str) -> Fault:
    """What a status from 300 to 499 that no second try mends means. A wrong key or model is said first: it says nothing about options."""
    both = f"{said.code} {said.message}"
    about = next((name for name, pattern in (("key", KEY), ("model", MODEL)) if pattern.search(both)), "") if status in BAD else ""
    if about:
        return Fault("stop", f"{line}{ABOUT[about]}", status=status)
    if status == 413:
        return Fault("too_long", line, status=status)
    if status in (400, 403, 422) and FILTERED.search(both):
        return Fault("refused", line, status=status)
    forms = forms_for(said.message, said.param) if status in BAD or (status == 404 and NO_ROUTE in said.message) else ()
    if status == 403:
        forms = tuple(form for form in forms if form.name == "no_logprobs")
    limited = forms and forms[0].name == "most_tokens" and not PROMPT.search(said.message)
    if status in (400, 422) and not limited and said.param != "stop" and TOO_LONG.search(both):
        return Fault("too_long", line, status=status)
    if forms:
        return Fault("again", line, status=status, forms=forms)
    return Fault("stop", f"{line}{ADVICE.get(status, '; the request is malformed for this endpoint')}", status=status)


BAD = (400, 403, 422)
"""Statuses under which a parameter is refused."""
NO_ROUTE = "No endpoints found that"
"""How OpenRouter says, under 404, that no server of the model takes all parameters."""
ABOUT = {
    "key": "; the key is wrong or expired: check {key_from}",
    "model": "; no such model: check models.{name}.name ({model})",
}
ADVICE = {
    **dict.fromkeys((301, 302, 303, 307, 308), "; it sends elsewhere, which is not followed: put the new address into {base_url_from}"),
    401: ABOUT["key"],
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


def complaint(text: str) -> Complaint:
    """What an error's body says, whatever its form.

    >>> complaint('{"error": {"message": "no", "code": "bad", "type": "t"}}')
    Complaint(message='no', code='bad t', param='')
    >>> complaint('{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": 1}]}')
    Complaint(message='extra_forbidden body.seed: Extra inputs are not permitted', code='', param='seed')
    >>> complaint('[{"error": {"message": "slow down", "code": 429}}]')
    Complaint(message='slow down', code='429', param='')
    """
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return Complaint("a web page" if text.lstrip().startswith("<") else text[:200])
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        return Complaint(text[:200])
    error = value.get("error", value)
    if not isinstance(error, dict):
        return Complaint(sound(urllib.parse.unquote(str(error)))[:500])
    message, loc = flattened(next((error[key] for key in ("message", "detail", "msg") if error.get(key)), ""))
    raw = error["metadata"].get("raw") if isinstance(error.get("metadata"), dict) else None
    if isinstance(raw, str) and raw:
        # OpenRouter passes on what the server behind it said.
        message = f"{message}: {complaint(raw).message}"
    codes = [str(error[key]) for key in ("code", "type") if error.get(key)]
    param = error.get("param")
    param = param if isinstance(param, str) and param.lower() not in ("none", "null") else loc
    return Complaint(sound(message)[:1000], sound(" ".join(codes)), sound(param))


def flattened(message: Any) -> tuple[str, str]:
    """A message as text, and the parameter it names apart; pydantic's lists without the values, which are what was sent."""
    if isinstance(message, dict) and message.get("detail"):
        message = message["detail"]
    entries = message if isinstance(message, list) else []
    if entries and all(isinstance(entry, dict) and isinstance(entry.get("loc"), list) for entry in entries):
        places = [[str(part) for part in entry["loc"]] for entry in entries]
        lines = (f"{entry.get('type', '')} {'.'.join(loc)}: {entry.get('msg', '')}" for entry, loc in zip(entries, places, strict=True))
        return "; ".join(lines), next((loc[-1] for loc in places if loc), "")
    return (message if isinstance(message, str) else json.dumps(message)), ""


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


def ended(problem: Fault, message: str) -> ProviderError:
    """What a request gets that this fault ends. Asking again would not change a refusal, so it is one of the answers that are kept."""
    if problem.what == "refused":
        return PaidError(Status.REFUSED, message, Usage())
    return failure(Status.TOO_LONG if problem.what == "too_long" else Status.UNANSWERED, message)
