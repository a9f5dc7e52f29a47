"""Read what a language model answered when it was asked for an explanation."""

import re

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.status import Status
from neurogloss.config.prompts import AnyExplainPrompt, RevisePrompt, SensesPrompt
from neurogloss.errors import ProviderError
from neurogloss.llm.refusals import refused
from neurogloss.llm.request import Reply

NUMBERED = re.compile(r"^[-*\s(]*(\d{1,2})[.):]\**\s+(\S.*)$")
LABEL = re.compile(
    r"^\W*(?:(?:final\s+)?(?:explanation|answer|summary)(?: of)?(?: neuron \d+)?(?:'s)?(?: behaviou?r)?)\s*:\s*", re.IGNORECASE
)
PROMPT_LINE = re.compile(r"\t\s*\d{1,2}\s*$|^<(start|end)>$|^<\|?\w+\|?>$")
"""Lines that only a prompt has."""
PLACEHOLDER = re.compile(r"\{\w+\}")
MOST_CHARACTERS = 600
"""An explanation is a phrase or a sentence; more is something else."""


def read_answer(reply: Reply | ProviderError, prompt: AnyExplainPrompt | RevisePrompt) -> list[Candidate]:
    """One candidate, or one for each point of a numbered list; at least one, be it a failure."""
    if isinstance(reply, ProviderError):
        return [Candidate(None, Status(reply.status))]
    if reply.finish_reason == "content_filter" or refused(reply.text):
        return [Candidate(None, Status.REFUSED)]
    lines = [line.strip() for line in reply.text.splitlines() if line.strip()]
    cut_off = reply.finish_reason == "length"
    if prompt.answers > 1:
        return read_list(lines, prompt, cut_off)
    return [read_line(lines, prompt, cut_off)]


def read_list(lines: list[str], prompt: AnyExplainPrompt | RevisePrompt, cut_off: bool) -> list[Candidate]:
    """The points 1, 2, 3 and so on of a list, as many as were asked for; a last one that is cut off is left out."""
    points: list[str] = []
    for place, line in enumerate(lines):
        found = NUMBERED.match(line)
        whole = not cut_off or place < len(lines) - 1
        if found and whole and int(found[1]) == len(points) + 1 <= prompt.answers:
            points.append(found[2])
    read = [candidate for candidate in (phrase(point, prompt) for point in points) if candidate.status is Status.OK]
    return read or [Candidate(None, Status.CUT_OFF if cut_off else Status.UNPARSABLE)]


def read_line(lines: list[str], prompt: AnyExplainPrompt | RevisePrompt, cut_off: bool) -> Candidate:
    """The first line that is more than a heading or a label; cut off within it, its whole sentences."""
    bare = ["" if line.startswith("#") else LABEL.sub("", line).strip() for line in lines]
    first = next((place for place, line in enumerate(bare) if line.strip("*#:- ")), None)
    if first is None:
        # Nothing at all and cut off: a model that thinks first used up max_tokens on its thoughts.
        return Candidate(None, Status.CUT_OFF if cut_off else Status.UNPARSABLE)
    text = bare[first]
    if cut_off and first == len(bare) - 1:
        end = max(text.rfind(mark) for mark in (". ", "! ", "? ", '."', ".'")) if text[-1] not in ".!?" else len(text)
        if end <= 0:
            return Candidate(None, Status.CUT_OFF)
        text = text[: end + 1]
    return phrase(text, prompt)


def phrase(text: str, prompt: AnyExplainPrompt | RevisePrompt | SensesPrompt) -> Candidate:
    """The explanation without prefix, quotation marks and full stop; UNPARSABLE where it repeats the prompt or says nothing."""
    if PROMPT_LINE.search(text) or len(text) > MOST_CHARACTERS or repeats(text, prompt):
        return Candidate(None, Status.UNPARSABLE)
    text = LABEL.sub("", text).strip("*#_` ")
    opening = prompt.prefix.rstrip(" :")
    if opening and text.lower().startswith(opening.lower()):
        text = text[len(opening) :]
    text = " ".join(text.strip(" :*_`").split())
    if len(text) > 1 and text[0] == text[-1] == '"' and text.count('"') == 2:
        text = text[1:-1]
    text = text.strip()
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip()
    if not any(c.isalnum() for c in text):
        return Candidate(None, Status.UNPARSABLE)
    return Candidate(text, Status.OK)


def repeats(text: str, prompt: AnyExplainPrompt | RevisePrompt | SensesPrompt) -> bool:
    """Whether the model says the prompt once more instead of answering."""
    lines = [line.strip() for line in f"{prompt.system}\n{prompt.question}".splitlines()]
    said = [line for line in lines if any(c.isalpha() for c in PLACEHOLDER.sub("", line))]
    patterns = [".*".join(re.escape(part) for part in PLACEHOLDER.split(line)) for line in said]
    return any(re.fullmatch(pattern, text) for pattern in patterns) or any(len(line) > 30 and text.startswith(line) for line in said)
