"""What an endpoint refuses in a request, read from its complaint by meaning, and the request without it.

A complaint names a parameter and has a word of refusal in the same sentence. No service's wording is known by heart: real ones of twenty
are in tests/llm/wordings.py. Which parameter is meant is tried out: a form is remembered once a request in that form was answered
(`neurogloss.llm.openai.capabilities`).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

SMALL_TEMPERATURE = 0.01
"""In place of 0, for servers that take no 0."""

FORMS = {
    "own_temperature": "takes no temperature, so it answers at its own: answers to one question may differ",
    "small_temperature": f"takes no temperature of 0 and is asked at {SMALL_TEMPERATURE}",
    "no_top_p": "takes no top_p, so none is sent",
    "max_completion_tokens": "wants max_tokens to be called max_completion_tokens",
    "max_tokens": "wants max_completion_tokens to be called max_tokens",
    "most_tokens": "writes at most {number} tokens, so no larger max_tokens is sent",
    "no_stop": "takes no stop sequences, so answers are cut at them here",
    "no_system": "takes no system role, so the instructions begin the first question",
    "no_response_format": "takes no response_format, so only the prompt asks for JSON",
    "no_logprobs": "gives no log-probabilities of its answers",
    "fewer_logprobs": "gives at most {number} log-probabilities for a token",
    "no_seed": "takes no seed, so none is sent",
    "no_thinking": "answers in one piece only without thinking, so enable_thinking is false",
}
"""Names of forms, and what each says about a model."""
RENAMES = ("max_completion_tokens", "max_tokens")


class Form(NamedTuple):
    """A way to ask otherwise."""

    name: str
    """Of FORMS."""
    number: int = 1
    """A largest number where the form has one."""


Forms = Mapping[str, int]
"""Forms by name, with their numbers."""

REFUSAL = re.compile(
    r"\bnot (\w+ ){0,2}?(support|allow|permit|accept|enable|implement|recogni[sz]|available|valid|compatible|set)|\bnot be\b|\bunset\b"
    r"|(does|do|is|are|can)n.t\b|unsupported|unrecogni[sz]ed|unknown|unexpected|unavailable|deprecated|forbidden|disallowed|illegal"
    r"|invalid|incompatible|\bonly\b|cannot|no longer|must be (exactly )?(set to )?(1|false)\b|instead|greater than|exceeds?\b|above"
    r"|too (large|long)|must alternate|must be (one of|[`'\"])|no endpoints found|非法|不支持|无效|不允许|不能|有误|错误|必须",
    re.I,
)
RANGE = re.compile(r"max(imum)?\b|minimum|at (most|least)|between|range|(less|greater) than|[<>]=?|positive", re.I)
ONLY = re.compile(r"\bonly\b|default|must be (exactly |set to )?1\b|deprecated|(not|n.t|un) ?support", re.I)
VALUE = re.compile(r"invalid|illegal|非法|无效|有误|错误", re.I)
POSITIVE = re.compile(r"strictly|positive|(greater|more|larger) than 0|> ?0|\(0|(>=|at least) ?0\.\d|大于", re.I)
UNNAMED = re.compile(r"parameter|argument|\bparams?\b|\bfields?\b|\boptions?\b|extra inputs|参数", re.I)
LIMIT = re.compile(
    r"(?:<=|≤|at most|less than(?: or equal to)?|less or equal to|up to|max(?:imum)?(?: value)?(?: of| allowed)?(?: is|:)?"
    r"|between \d+ and|\[ ?\d+ ?,|\d >)"
    r"[ `'\"]*(\d[\d,]*)",
    re.I,
)
LARGE = re.compile(r"too (large|big|high|many)|above|exceed|maximum", re.I)
SENTENCE = re.compile(r"(?<=[.;!?])\s+|(?<=[\u3002\uff1b])|\n+")
STOP = (
    r"[`'\"\[]stop(_sequences)?[`'\"\]]|\bstop[ _]sequences?\b|\bstopSequences\b|(parameters?|arguments?|fields?|supplied|model): ?stop\b"
)
STOP += r"|parameter stop\b|\bbody\W+stop\b|^stop:|\bstop (parameter|is not|is un)"
NAMES = {
    "top_p": re.compile(r"(?<!\w)top_?p(?![a-z0-9_])", re.I),
    "temperature": re.compile(r"temperature", re.I),
    "limit": re.compile(r"\bmax_(completion_|new_|output_)?tokens\b", re.I),
    "stop": re.compile(STOP, re.I),
    "system": re.compile(
        r"(system|developer)[ _](role|message|prompt|instruction)|role\W+(.{0,40}\W)?system\b|user and assistant roles|roles must alternate"
        r"|roles are supported"
        r"|messages\[0\]\.role|does not support .system",
        re.I,
    ),
    "response_format": re.compile(r"response.?(format|schema)|json.?(schema|mode|output)|structured output|guided", re.I),
    "logprobs": re.compile(r"logprob|log.probabilit|top_n_tokens", re.I),
    "seed": re.compile(r"\bseed\b", re.I),
    "thinking": re.compile(r"enable.thinking.*(false|non-streaming|stream=)", re.I),
}
TEMPLATE = re.compile(r"system role not supported|roles must alternate|only user.{1,40}roles are supported", re.I)
"""What chat templates raise, which some servers give as their own error (500)."""
ANY = tuple(map(Form, ("no_response_format", "no_logprobs", "no_stop", "no_top_p", "no_seed", "small_temperature", "own_temperature")))
"""To try in turn where a complaint does not say which parameter it means."""


def forms_for(message: str, param: str = "") -> tuple[Form, ...]:
    """Forms that a complaint suggests, the likeliest first; `param` is the parameter that its JSON names beside the message.

    >>> [form.name for form in forms_for("`temperature` and `top_p` cannot both be specified for this model.")]
    ['no_top_p', 'own_temperature']
    >>> forms_for("Range of max_tokens should be [1, 8192]")
    (Form(name='most_tokens', number=8192),)
    >>> forms_for("the temperature was high and the boat did not stop. Nothing is supported here.")
    ()
    """
    found = [form for sentence in SENTENCE.split(message) for form in of_sentence(sentence, message)]
    if param and not found:
        found = list(of_sentence(f"{param}: {' '.join(message.split())}", message))
    if not found and not param and UNNAMED.search(message) and REFUSAL.search(message):
        found = list(ANY)
    return tuple(dict.fromkeys(found))


def of_sentence(sentence: str, message: str) -> Iterator[Form]:
    """Forms that one sentence suggests; the largest value that is allowed may stand in another one."""
    limits = LIMIT.findall(sentence) or (LIMIT.findall(message) if LARGE.search(sentence) else [])
    number = int(limits[-1].replace(",", "")[:9]) if limits else 0
    if not (REFUSAL.search(sentence) or POSITIVE.search(sentence) or number):
        return
    for name, pattern in NAMES.items():
        if pattern.search(sentence):
            yield from of_parameter(name, sentence, number)


def of_parameter(name: str, sentence: str, number: int) -> Iterator[Form]:
    """Forms for one parameter that a sentence refuses. A value out of range is the params' own fault, which no form mends."""
    out_of_range = RANGE.search(sentence) and not ONLY.search(sentence)
    if name == "temperature":
        if POSITIVE.search(sentence) or (VALUE.search(sentence) and not out_of_range and not ONLY.search(sentence)):
            yield Form("small_temperature")
        if not out_of_range:
            yield Form("own_temperature")
    elif name == "limit":
        yield from of_limit(sentence, number)
    elif name == "logprobs":
        if number:
            yield Form("fewer_logprobs", number)
        yield Form("no_logprobs")
    elif name in ("top_p", "seed"):
        if not out_of_range:
            yield Form(f"no_{name}")
    else:
        yield Form(f"no_{name}")


def of_limit(sentence: str, number: int) -> Iterator[Form]:
    """Forms for max_tokens: a smaller number, or its other name."""
    if number and not ONLY.search(sentence):
        yield Form("most_tokens", number)
    elif re.search(r"\bmax_tokens\b", sentence):
        yield Form("max_completion_tokens")
    elif not re.search(r"instead|\buse\b", sentence, re.I):
        yield Form("max_tokens")


def reshaped(value: dict[str, Any], forms: Forms) -> dict[str, Any]:
    """The JSON of a request in these forms; the same where none of them concerns it.

    >>> reshaped({"messages": [], "temperature": 0.0, "max_tokens": 9}, {"own_temperature": 1, "max_completion_tokens": 1})
    {'messages': [], 'max_completion_tokens': 9}
    """
    new = dict(value)
    chat = "messages" in new
    if "own_temperature" in forms:
        new.pop("temperature", None)
    elif "small_temperature" in forms and new.get("temperature") == 0:
        new["temperature"] = SMALL_TEMPERATURE
    if "most_tokens" in forms:
        new |= {key: min(new[key], forms["most_tokens"]) for key in RENAMES if key in new}
    if chat and "max_completion_tokens" in forms and "max_tokens" not in forms and "max_tokens" in new:
        new["max_completion_tokens"] = new.pop("max_tokens")
    for form, key in (("no_top_p", "top_p"), ("no_stop", "stop"), ("no_response_format", "response_format"), ("no_seed", "seed")):
        if form in forms:
            new.pop(key, None)
    if chat and "no_system" in forms:
        new["messages"] = without_system(new["messages"])
    if "no_logprobs" in forms and not new.get("echo"):
        new.pop("logprobs", None)
        new.pop("top_logprobs", None)
    if "no_thinking" in forms:
        new["enable_thinking"] = False
    key = "top_logprobs" if chat else "logprobs"
    if "fewer_logprobs" in forms and key in new:
        new[key] = min(new[key], forms["fewer_logprobs"])
    return new


def without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Messages whose instructions begin the first question.

    >>> without_system([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}])
    [{'role': 'user', 'content': 'Be brief.\\n\\nWhy?'}]
    """
    instructions = [message["content"] for message in messages if message["role"] == "system"]
    others = [message for message in messages if message["role"] != "system"]
    if not instructions:
        return messages
    first = others[0]["content"] if others and others[0]["role"] == "user" else ""
    question = {"role": "user", "content": "\n\n".join([*instructions, *([first] if first else [])])}
    return [question, *others[bool(first) :]]
