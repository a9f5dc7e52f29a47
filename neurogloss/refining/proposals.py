"""Ask for sentences that put an explanation to the test, and read the answer."""

import re
from typing import NamedTuple

from neurogloss.config.explain import ExplainParams
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import SentencesPrompt, fill
from neurogloss.config.refine import RefineParams
from neurogloss.errors import ProviderError
from neurogloss.llm.refusals import refused
from neurogloss.llm.request import Reply, Request
from neurogloss.refining.requests import round_request

LINE = re.compile(r"^[-*\s(]*(?:\d{1,3}[.):]\s*)?\**(?P<sort>yes|no)\b\W{0,4}?[:.)\-\u2013\u2014]\**\s*(?P<text>\S.*)$", re.IGNORECASE)
FENCES = "\"'`*\u201c\u201d\u00ab\u00bb "
"""What a model puts around a sentence."""
FEWEST = 2
"""Of either sort, so that one is shown and one held out."""


class Proposal(NamedTuple):
    """A sentence, and whether the explanation says that the unit fires in it."""

    text: str
    expected: bool


def request(
    explanation: str, round_: int, prompt: SentencesPrompt, params: RefineParams, explain: ExplainParams, model: ModelParams
) -> Request:
    """The question for one unit in one round."""
    text = fill(prompt.question, explanation=explanation, count=str(params.sentences))
    return round_request(prompt.system, text, round_, params.max_tokens, explain, model)


def read_proposals(answer: Reply | ProviderError, most: int) -> list[Proposal]:
    """Different sentences, at most so many of either sort; none where the model failed, refused or kept to no form.

    >>> read_proposals(Reply("YES: A tug.\\n2. no - A mill.\\nYES: A tug.\\nHope this helps!"), 10)
    [Proposal(text='A tug.', expected=True), Proposal(text='A mill.', expected=False)]
    """
    if isinstance(answer, ProviderError) or answer.finish_reason == "content_filter" or refused(answer.text):
        return []
    lines = [line for line in answer.text.splitlines() if line.strip()]
    if answer.finish_reason == "length":
        lines = lines[:-1]  # The last sentence is cut off.
    found: dict[str, Proposal] = {}
    for line in lines:
        if match := LINE.match(line):
            text = match["text"].strip().strip(FENCES)
            if any(c.isalnum() for c in text):
                found.setdefault(text.casefold(), Proposal(text, match["sort"].casefold() == "yes"))
    return [one for sort in (True, False) for one in [p for p in found.values() if p.expected is sort][:most]]


def enough(proposals: list[Proposal]) -> bool:
    """Whether there are sentences to show and to hold out; else there is nothing to revise by."""
    return sum(one.expected for one in proposals) >= FEWEST
