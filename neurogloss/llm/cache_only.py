"""A client that asks nobody: the cache of replies answers, and who opened it says what stands for an answer that it lacks."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tqdm import tqdm

from neurogloss.config.models import ModelParams
from neurogloss.llm.cache import Cache, CachedReply
from neurogloss.llm.logprobs import levels_only
from neurogloss.llm.openai.capabilities import remembered
from neurogloss.llm.places import kept_at, place_of
from neurogloss.llm.request import Answer, Came, Capability, Request


@dataclass(frozen=True)
class CacheOnlyClient:
    """Answers from the cache. Never asks a model, an endpoint or a key."""

    cache: Cache
    params: ModelParams
    answered: Callable[[Request, CachedReply], object]
    """Told of each question that the cache answers, in the order in which they are asked."""
    unanswered: Callable[[Request, str], Answer]
    """What stands for the answer to each other one; the text is the title of `ask`."""
    guess: Callable[[Capability], bool]
    """Whether the model can do what neither the params nor an earlier run tell of."""
    refresh: bool = False
    """Take the cache for empty."""

    def offers(self, capability: Capability) -> bool:
        """What the params name or an earlier run found out, else a guess."""
        if self.params.capabilities is not None:
            return capability in self.params.capabilities
        if not self.params.remote:
            return capability != "json_schema"
        known = remembered(self.cache, self.params, capability)
        return self.guess(capability) if known is None else known

    def ask(self, requests: list[Request], title: str, arrived: Came | None = None) -> list[Answer]:
        """What the cache has, and what stands for the rest."""
        keys = [request.key for request in requests]
        by_key = dict(zip(keys, requests, strict=True))
        found = () if self.refresh else kept_at(self.cache, by_key, place_of(self.cache, self.params))
        known = {key: replace(kept, answer=levels_only(by_key[key], kept.answer)) for key, kept, _ in found}
        answers: list[Answer] = []
        for key, request in tqdm(zip(keys, requests, strict=True), "counting", len(keys), unit="request", delay=2, leave=False):
            if key in known:
                self.answered(request, known[key])
            answers.append(known[key].answer if key in known else self.unanswered(request, title))
        return answers
