"""Requests as an OpenAI-compatible endpoint reads them, and its answers as replies. Pure functions of text.

Endpoints differ: vLLM and llama-cpp-python echo the prompt with log-probabilities in the form of the old completions API, vLLM
also as `prompt_logprobs`; llama.cpp's own server takes `echo` and answers the log-probabilities of the generated token only,
without a word. So an echo counts only when every position that was asked for is there.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from types import MappingProxyType
from typing import Any

from neurogloss.artifacts.status import Status
from neurogloss.config.models import ModelParams
from neurogloss.llm.logprobs import MOST_LOGPROBS, least_of
from neurogloss.llm.openai.alignment import check_alignment
from neurogloss.llm.openai.forms import Forms, reshaped
from neurogloss.llm.request import Answer, PaidError, Reply, Request, TokenLogprobs, Usage

MOST_TOKENS = 1_000_000_000
"""That an answer can have cost; a larger count is none."""


class MalformedError(Exception):
    """JSON that is not an answer; the server's fault, worth another try."""


def body(request: Request, model: ModelParams, forms: Forms = MappingProxyType({})) -> dict[str, Any]:
    """The JSON of a request, without `messages` or `prompt` moved: the fixed part of a prompt stays first, for prefix caches.

    `forms` are those that the endpoint was found to want (`neurogloss.llm.openai.forms`).
    """
    value = plain(request, model.name) | model.extra
    return reshaped({name: one for name, one in value.items() if one is not None or name not in model.extra}, forms)


def plain(request: Request, model: str) -> dict[str, Any]:
    """The JSON as OpenAI's own documentation has it."""
    value: dict[str, Any] = {"model": model, "temperature": request.temperature}
    if request.stop:
        value["stop"] = [sound(text) for text in request.stop]
    alternatives = request.top_logprobs
    if request.messages:
        value["messages"] = [{"role": message.role, "content": sound(message.content)} for message in request.messages]
        value["max_tokens"] = request.max_tokens
        if alternatives:
            value |= {"logprobs": True, "top_logprobs": alternatives}
        if request.json_schema:
            schema = {"name": "answer", "strict": True, "schema": json.loads(request.json_schema)}
            value["response_format"] = {"type": "json_schema", "json_schema": schema}
        return value
    value |= {"prompt": sound(request.prompt), "max_tokens": request.max_tokens}
    if request.echo:
        # One token, since some versions of vLLM refuse none.
        value |= {"echo": True, "max_tokens": max(1, request.max_tokens), "logprobs": alternatives or MOST_LOGPROBS}
    elif alternatives:
        value["logprobs"] = alternatives
    return value


def sound(text: str) -> str:
    """Text that UTF-8 can hold: halves of a character that belong together become it, others the replacement character.

    >>> sound("a\\ud83d\\ude00 \\ud83d")
    'a😀 \ufffd'
    """
    return text.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")


def answer(request: Request, value: dict[str, Any]) -> Answer:
    """The answer in an endpoint's JSON; raises MalformedError where there is none."""
    try:
        choice = value["choices"][0]
        used = usage(value, request)
        if request.echo:
            return echoed(request, choice, used)
        said = choice["message"] if request.messages else choice
        text = written(said.get("content" if request.messages else "text"))
        reason = str(choice.get("finish_reason") or "stop")
        if request.messages and reason != "length" and (found := thoughts(said)):
            return PaidError(Status.UNPARSABLE, "the answer stands in reasoning_content, content is empty", used, found)
        tokens = generated(choice.get("logprobs")) if request.top_logprobs else ()
        return outcome(text, said.get("refusal"), reason, tokens, used, request.stop)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise MalformedError(f"the body has no answer ({type(error).__name__}: {error})") from error


def thoughts(message: dict[str, Any]) -> str:
    """What stands in a message beside its content where that is empty; nothing where there is content.

    >>> thoughts({"content": None, "reasoning_content": "hm, fruit"}), thoughts({"content": "fruit", "reasoning": "hm"})
    ('hm, fruit', '')
    """
    if message.get("content") or message.get("refusal"):
        return ""
    found = message.get("reasoning_content") or message.get("reasoning") or ""
    return sound(found).strip() if isinstance(found, str) else ""


def written(content: Any) -> str:
    """The text of an answer, which some endpoints give in parts, thoughts among them.

    >>> written("fruit"), written([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "fruit"}]), written(None)
    ('fruit', 'fruit', '')
    """
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    if not isinstance(content, str | None):
        raise MalformedError("the text is none")
    return sound(content or "")


def outcome(text: str, refusal: Any, reason: str, tokens: tuple[TokenLogprobs, ...], used: Usage, stop: tuple[str, ...] = ()) -> Answer:
    """A reply, or why the answer cannot be used. Whether an answer of which `max_tokens` left a part is any good, its reader knows.

    So is one without the log-probabilities that were asked for: it was paid for, and its text is there to be read.
    """
    if reason == "error":
        raise MalformedError("finish_reason is 'error'")
    if refusal or reason == "content_filter":
        return PaidError(Status.REFUSED, "the model refused", used, sound(str(refusal or text)))
    text, tokens = cut(*without_thoughts(text, tokens), stop)
    return Reply(text, reason, tokens, used)


def cut(text: str, tokens: tuple[TokenLogprobs, ...], stop: tuple[str, ...]) -> tuple[str, tuple[TokenLogprobs, ...]]:
    """The answer up to the first stop sequence, for servers that take none or leave it in.

    >>> cut("fruit\\n\\nvegetables", (), ("\\n",))
    ('fruit', ())
    """
    end = min((text.find(mark) for mark in stop if mark and mark in text), default=len(text))
    if end == len(text):
        return text, tokens
    starts = accumulate((len(token.token) for token in tokens), initial=0)
    return text[:end], tuple(token for start, token in zip(starts, tokens, strict=False) if start < end)


def without_thoughts(text: str, tokens: tuple[TokenLogprobs, ...]) -> tuple[str, tuple[TokenLogprobs, ...]]:
    """The answer without a leading `<think>` block, which servers without a reasoning parser leave in; nothing where it never ends.

    Some chat templates open the block themselves, so that the answer holds its end only.

    >>> [without_thoughts(text, ())[0] for text in ("<think>hm</think>\\n\\nfruit", "hm</think>fruit", "<think>hm, fruit", "fruit")]
    ['fruit', 'fruit', '', 'fruit']
    """
    end = text.find("</think>")
    if not text.lstrip().startswith("<think>") and (end < 0 or "<think>" in text[:end]):
        return text, tokens
    if end < 0:
        return "", ()
    answer_text = text[end + len("</think>") :].lstrip()
    dropped = len(text) - len(answer_text)
    starts = accumulate((len(token.token) for token in tokens), initial=0)
    return answer_text, tuple(token for start, token in zip(starts, tokens, strict=False) if start >= dropped)


def usage(value: dict[str, Any], request: Request) -> Usage:
    """Tokens as the endpoint counts them; a quarter of the characters where it does not."""
    counts = mapping(value.get("usage"))
    details = mapping(counts.get("prompt_tokens_details"))
    prompt, completion = whole(counts.get("prompt_tokens")), whole(counts.get("completion_tokens"))
    if prompt is None:
        prompt = (len(request.prompt) + sum(len(message.content) for message in request.messages)) // 4 + 1
        completion = request.max_tokens if completion is None else completion
    # DeepSeek has a name of its own.
    cached = whole(details.get("cached_tokens")) or whole(counts.get("prompt_cache_hit_tokens")) or 0
    return Usage(prompt, min(cached, prompt), completion or 0)


def mapping(value: Any) -> dict[str, Any]:
    """The value, or nothing where it is none: an answer that was paid for is not thrown away for how its tokens are counted."""
    return value if isinstance(value, dict) else {}


def whole(number: Any) -> int | None:
    """A count; None for what is none."""
    return int(number) if isinstance(number, int | float) and 0 <= number <= MOST_TOKENS else None


def generated(logprobs: dict[str, Any] | None) -> tuple[TokenLogprobs, ...]:
    """Generated tokens with their alternatives, in the form of chat or of completions."""
    return tuple(TokenLogprobs(sound(token), repaired(alternatives)) for token, alternatives in positions(logprobs or {}))


def positions(logprobs: dict[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    """Token and alternatives of each position."""
    if logprobs.get("content") is not None:
        for entry in logprobs["content"]:
            pairs = [(option["token"], option["logprob"]) for option in (*entry.get("top_logprobs", ()), entry)]
            yield entry["token"], finite(pairs)
        return
    for token, options in zip(logprobs.get("tokens") or (), logprobs.get("top_logprobs") or (), strict=True):
        yield token, finite(list((options or {}).items()))


def finite(pairs: list[tuple[Any, Any]]) -> dict[str, float]:
    """Alternatives by text. Two tokens can have the same text (halves of characters): the likelier one counts."""
    kept: dict[str, float] = {}
    for text, logprob in pairs:
        if isinstance(logprob, int | float) and math.isfinite(logprob):
            kept[str(text)] = max(float(logprob), kept.get(str(text), -math.inf))
    return kept


def repaired(alternatives: dict[str, float]) -> dict[str, float]:
    """Alternatives whose texts UTF-8 can hold; only once their places are found, since two tokens can hold a character's halves."""
    return finite([(sound(text), logprob) for text, logprob in alternatives.items()])


def echoed(request: Request, choice: dict[str, Any], used: Usage) -> Answer:
    """What could stand at each place of `request.echo` in the prompt."""
    logprobs = choice.get("logprobs") or {}
    found = list(positions(logprobs)) if logprobs.get("tokens") else []
    if not found and choice.get("prompt_logprobs"):
        found = list(prompt_positions(choice["prompt_logprobs"]))
    check_alignment(found)
    places = standing(request, [token for token, _ in found])
    if places is None:
        return PaidError(Status.UNPARSABLE, "the endpoint did not echo the prompt with log-probabilities", used)
    tokens = tuple(place_of(*found[index], into) for index, into in places)
    if not all(token.alternatives for token in tokens):
        return PaidError(Status.UNPARSABLE, "the endpoint echoed the prompt without alternatives", used)
    return Reply("", "stop", tokens, used)


def place_of(token: str, alternatives: dict[str, float], into: int) -> TokenLogprobs:
    """A place that may begin within a token."""
    return TokenLogprobs(sound(token[into:]), repaired(after(alternatives, token[:into])), least_of(token, alternatives))


def prompt_positions(entries: list[dict[str, Any] | None]) -> Iterator[tuple[str, dict[str, float]]]:
    """vLLM's `prompt_logprobs`: per token a map of ids; the prompt's own token comes first."""
    for entry in entries:
        options = list((entry or {}).values())
        pairs = [(option["decoded_token"], option["logprob"]) for option in options]
        yield (str(options[0]["decoded_token"]) if options else ""), finite(pairs)


def standing(request: Request, tokens: list[str]) -> list[tuple[int, int]] | None:
    """(token, characters into it) where `request.echo` stands after `echo_from`; None where the tokens do not spell the prompt.

    Counted from the end of the echo, so that a BOS before it or a half character inside it moves nothing.
    """
    text, starts = "".join(tokens), list(accumulate((len(token) for token in tokens), initial=0))
    wanted = len(list(occurrences(request.prompt, request.echo, request.echo_from)))
    before = len(list(occurrences(request.prompt, request.echo, 0)))
    all_found = list(occurrences(text, request.echo, 0))[:before]
    if not wanted or len(all_found) < before:
        return None
    places = []
    for place in all_found[-wanted:]:
        index = bisect_right(starts, place) - 1
        places.append((index, place - starts[index]))
    return places


def occurrences(text: str, part: str, start: int) -> Iterator[int]:
    """Where `part` stands in `text`, from `start`, not overlapping."""
    place = text.find(part, start)
    while place >= 0:
        yield place
        place = text.find(part, place + len(part))


def after(alternatives: dict[str, float], lead: str) -> dict[str, float]:
    """Alternatives of a token that begins before the place asked for: those with the same beginning, without it."""
    return {text[len(lead) :]: logprob for text, logprob in alternatives.items() if text.startswith(lead)} if lead else alternatives
