"""What an answer says about the endpoint's settings, told once: a prompt that was cut in silence, an answer among the thoughts."""

import logging
from typing import Any

from neurogloss.llm.openai.bodies import mapping, thoughts, whole
from neurogloss.llm.request import Request
from neurogloss.llm.tokens import ESTIMATE

logger = logging.getLogger(__name__)

CHARACTERS = 2000
"""Of a prompt that is looked at; shorter ones fit everywhere."""
MANY_CHARACTERS = 8
"""A token: more than any text has."""
CUT = (
    "%s counts %s tokens for a prompt of about %s: it has probably cut it (Ollama: OLLAMA_CONTEXT_LENGTH or num_ctx, llama.cpp: -c, "
    "LM Studio: the context length of the loaded model); raise that, or set models.*.context to what it takes"
)
THOUGHTS = (
    "%s gives its answer in reasoning_content and none in content (%r): it was %s; switch thinking off with models.*.extra, or give it "
    "thousands of tokens (docs/endpoints.md)"
)


class Notices:
    """Tells each thing once for a model."""

    def __init__(self, model: str) -> None:
        self.model = model
        """Its name at the endpoint."""
        self.told: set[str] = set()

    def look(self, request: Request, value: dict[str, Any]) -> None:
        """Look at the JSON of an answer that was read."""
        if "cut" not in self.told and (count := counted_short(request, value)):
            self.told.add("cut")
            logger.warning(CUT, self.model, f"{count[0]:,}", f"{count[1]:,}")
        choice = value["choices"][0]
        if request.messages and "thoughts" not in self.told and (found := thoughts(mapping(choice.get("message")))):
            self.told.add("thoughts")
            why = "cut off while thinking" if choice.get("finish_reason") == "length" else "not told apart from the thoughts by the server"
            logger.warning(THOUGHTS, self.model, found[:80], why)


def counted_short(request: Request, value: dict[str, Any]) -> tuple[int, int] | None:
    """Tokens that the server counts in the prompt and that it has by our estimate, where that is less than half; else None."""
    counts = mapping(value.get("usage"))
    cached = whole(mapping(counts.get("prompt_tokens_details")).get("cached_tokens")) or 0
    prompt = whole(counts.get("prompt_tokens"))
    characters = len(request.prompt) + sum(len(message.content) for message in request.messages)
    # Some servers count what they had in their cache apart.
    if not prompt or characters < max(CHARACTERS, MANY_CHARACTERS * (prompt + cached)):
        return None
    estimate = ESTIMATE.prompt(request)
    return (prompt, estimate) if 2 * (prompt + cached) < estimate else None
