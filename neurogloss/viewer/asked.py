"""What language models were asked about each unit and what they answered, from the kept replies."""

import threading
from pathlib import Path
from typing import Any

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.status import Status
from neurogloss.config.params import Params
from neurogloss.exchange.kept import KeptQuestion, asks_models, kept_questions
from neurogloss.llm.cache import Cache
from neurogloss.llm.request import Message, Reply
from neurogloss.viewer.result import ViewedResult, ViewedVariant, taken


class Asked:
    """Questions and answers of units. `params` are those of each variant, None where they are not known."""

    def __init__(self, result: ViewedResult, params: list[Params | None], cache: Path) -> None:
        self.result = result
        self.params = [one if one is not None and asks_models(one) else None for one in params]
        self.cache = cache
        self.lock = threading.Lock()

    @property
    def any(self) -> bool:
        """Whether a model was asked and replies are kept here."""
        return any(self.params) and self.cache.exists()

    def block(self, start: int, stop: int) -> dict[str, Any]:
        """Per page row and variant what was asked; texts that several questions share stand once."""
        texts: dict[str, int] = {}
        with self.lock:  # A tokenizer that counts for a prompt is no good for two threads.
            cache = Cache(self.cache)
            try:
                units = [
                    [
                        self.unit(cache, page, variant, params, texts)
                        for variant, params in zip(self.result.variants, self.params, strict=True)
                    ]
                    for page in range(start, stop)
                ]
            finally:
                cache.close()
        return {"start": start, "texts": list(texts), "units": units}

    def unit(self, cache: Cache, page: int, variant: ViewedVariant, params: Params | None, texts: dict[str, int]) -> list[dict[str, Any]]:
        """One unit of one variant."""
        if params is None:
            return []
        row = self.result.rows[page : page + 1]
        explanation = variant.explanation_rows[row]
        (candidates,) = taken(variant.explanations["candidates"], explanation)
        kept = tuple(Candidate(one["text"], Status(one["status"]), one["select_score"]) for one in candidates or ())
        senses, (text,) = variant.senses[row[0]], variant.texts(row)
        sentences = [sense["text"] for sense in senses] or [text]
        single, _ = variant.singles.get(int(row[0]), (text, None))
        found = kept_questions(self.result.recordings, params, cache, int(row[0]), sentences, kept, single)
        return [shown(question, texts) for question in found]


def shown(question: KeptQuestion, texts: dict[str, int]) -> dict[str, Any]:
    """A question with its answer, for a page."""
    request, answer = question.request, question.kept.answer
    turns = request.messages or (Message("user", request.prompt),)
    return {
        "stage": question.stage,
        "model": question.model,
        "turns": [[turn.role, texts.setdefault(turn.content, len(texts))] for turn in turns],
        "answer": texts.setdefault(answer.text, len(texts)),
        "status": "ok" if isinstance(answer, Reply) else answer.status,
        "levels": len(getattr(answer, "tokens", ())),
        "tokens": [answer.usage.prompt, answer.usage.cached_prompt, answer.usage.completion],
        "usd": round(question.kept.cost_usd, 8),
    }
