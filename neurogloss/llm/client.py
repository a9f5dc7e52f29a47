"""The single entry point for model calls: sends a provider what the cache of replies does not hold, and keeps its answers.

    with open_client("gpt", settings.model("gpt", "explain.model"), stage="explain") as client:
        answers = client.ask(requests, "explaining")

The provider is opened at the first question that the cache cannot answer, so a rerun needs no key, no endpoint and no weights.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Never, Protocol

from tqdm import tqdm

from neurogloss.config import environment
from neurogloss.config.models import ModelParams
from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.cache import Cache, CachedReply, cache_file
from neurogloss.llm.leases import Leases
from neurogloss.llm.logprobs import levels_only
from neurogloss.llm.openai.capabilities import remembered
from neurogloss.llm.openai.driver import Arrived, Noticed, unnoticed
from neurogloss.llm.places import given_elsewhere, kept_at, place_of
from neurogloss.llm.request import Answer, Came, Capability, Client, PaidError, Reply, Request, Usage
from neurogloss.llm.scripted import Scripted
from neurogloss.llm.usage import BATCH_PRICE, Tally, cost_usd, total, used, write_usage

logger = logging.getLogger(__name__)

WAIT_S = 0.5
"""Between two looks at what another run has under way."""
TOGETHER = 32
"""Requests handed to a model in this process at a time: what is kept between two looks at the progress bar."""


SAME_WEIGHTS = (
    "where the same weights answer, stop this run, then `neurogloss cache export FILE` and `neurogloss cache import FILE` make them count "
    "everywhere, as models.{name}.revision does from the start"
)


class Provider(Protocol):
    """Something that answers, one answer at a time, in any order."""

    def answer_each(self, requests: list[Request], arrived: Arrived, noticed: Noticed = unnoticed) -> None:
        """Call `arrived` once for each request; only ProviderError becomes an answer."""
        ...

    def offers(self, capability: Capability, paid: Callable[[Usage], object]) -> bool:
        """Whether the model can do this; `paid` is called with what finding out has cost."""
        ...

    def close(self) -> None:
        """Close connections and threads."""
        ...


class InProcess(Protocol):
    """A model in this process: `neurogloss.llm.local.provider`, or a script."""

    def answer(self, requests: list[Request]) -> list[Answer]:
        """One answer for each request, in their order."""
        ...


class BatchingProvider:
    """A model in this process as a provider: some requests at a time, in their order. It offers what its params name, else everything."""

    def __init__(self, model: InProcess, capabilities: list[Capability] | None) -> None:
        self.model = model
        self.capabilities = capabilities

    def answer_each(self, requests: list[Request], arrived: Arrived, noticed: Noticed = unnoticed) -> None:
        """Answer `TOGETHER` at a time."""
        for start in range(0, len(requests), TOGETHER):
            chunk, began = requests[start : start + TOGETHER], time.monotonic()
            answers = self.model.answer(chunk)
            seconds = (time.monotonic() - began) / len(chunk)
            for offset, answer in enumerate(answers):
                arrived(start + offset, answer, seconds)

    def offers(self, capability: Capability, paid: Callable[[Usage], object]) -> bool:
        """What the params name; a model in this process can do everything but follow a schema."""
        return capability in self.capabilities if self.capabilities is not None else capability != "json_schema"

    def close(self) -> None:
        """Nothing to close."""


class Arriving(dict[str, Answer]):
    """Answers by key; who waits for them is told of each, at every place where it was asked for."""

    def __init__(self, keys: list[str], arrived: Came | None) -> None:
        super().__init__()
        self.arrived = arrived
        self.places: dict[str, list[int]] = {}
        for index, key in enumerate(keys):
            self.places.setdefault(key, []).append(index)

    def __setitem__(self, key: str, answer: Answer) -> None:
        super().__setitem__(key, answer)
        if self.arrived is not None:
            for index in self.places[key]:
                self.arrived(index, answer)


class CachedClient:
    """A `Client` that asks its provider only what the cache does not know, and each question once."""

    def __init__(self, name: str, model: ModelParams, cache: Cache, open_provider: Callable[[], Provider]) -> None:
        self.name = name
        self.model = model
        self.cache = cache
        self.open_provider = open_provider
        self.provider: Provider | None = None
        self.refresh = environment.flag("REFRESH")
        self.price_share = BATCH_PRICE if model.provider == "openai" and environment.flag("BATCH") else 1.0
        self.claims = Leases(cache)
        # Batches are remembered by themselves, and REFRESH=1 wants fresh answers.
        self.shares = not (self.refresh or environment.flag("BATCH"))
        self.tally = Tally()
        self.lock = threading.Lock()
        self.place = place_of(cache, model)
        """Where it answers, as part of the keys of what is kept."""
        self.elsewhere = 0
        """Answers used that say nothing about where they were given."""

    def opened(self) -> Provider:
        """The provider, opened when first needed."""
        if self.provider is None:
            self.provider = self.open_provider()
        return self.provider

    def offers(self, capability: Capability) -> bool:
        """What the params name, else what the provider says or finds out."""
        if self.model.capabilities is not None:
            return capability in self.model.capabilities
        if self.model.remote and not self.refresh and (known := remembered(self.cache, self.model, capability)) is not None:
            return known
        return self.opened().offers(capability, self.paid)

    def paid(self, usage: Usage, share: float = 1.0) -> float:
        """Add to the tally; the price in US dollars, of which a share is to pay."""
        usd = share * cost_usd(usage, self.model.price)
        self.tally.paid = total(self.tally.paid, usage)
        self.tally.cost_usd += usd
        return usd

    def ask(self, requests: list[Request], title: str, arrived: Came | None = None) -> list[Answer]:
        """Answers in the order of the questions. Each arrives in the cache before the next is looked at."""
        with self.lock:
            return self.ask_alone(requests, title, arrived)

    def ask_alone(self, requests: list[Request], title: str, arrived: Came | None = None) -> list[Answer]:
        """`ask`, one thread at a time: a request that another thread has in flight is found answered."""
        began = time.monotonic()
        keys = [request.key for request in requests]
        by_key = dict(zip(keys, requests, strict=True))
        known = Arriving(keys, arrived)
        asked: set[str] = set()
        try:
            for key, kept in self.recalled(by_key).items():
                known[key] = kept.answer
            missing = {key: request for key, request in by_key.items() if key not in known}
            with tqdm(total=len(set(keys)), initial=len(known), desc=title, unit="answer", delay=1, mininterval=0.5, leave=False) as bar:
                self.fetch(missing, known, asked, bar)
        finally:
            self.count(keys, asked, known)
            self.tally.seconds += time.monotonic() - began
        return [known[key] for key in keys]

    def recalled(self, requests: dict[str, Request]) -> dict[str, CachedReply]:
        """What the cache knows by key, counted as hits."""
        found, elsewhere = {}, 0
        for key, one, here in () if self.refresh else kept_at(self.cache, requests, self.place):
            found[key] = replace(one, answer=levels_only(requests[key], one.answer))
            elsewhere += not here
        if elsewhere and not self.elsewhere:
            logger.info(
                "%s: some answers were imported or given by an earlier version, not where the model is now; they count all the same",
                self.name,
            )
        self.elsewhere += elsewhere
        saved = sum(one.cost_usd for one in found.values())
        self.cache.count_hits(self.name, len(found), saved)
        self.tally.saved_usd += saved
        for one in found.values():
            self.tally.saved = total(self.tally.saved, one.answer.usage)
        return found

    def fetch(self, missing: dict[str, Request], known: dict[str, Answer], asked: set[str], bar: "tqdm[Never]") -> None:
        """Send what no other run is sending, and wait for what one has in flight; `asked` are the keys that went to the provider."""
        if any(request.echo for request in missing.values()) and not self.offers("echo"):
            raise UserError(no_echo(self.name, self.model))
        if missing and (given := given_elsewhere(self.cache, missing, self.place)):
            message = "%s: %s of these questions were answered at another address and are asked again where the model is now; %s"
            logger.warning(message, self.name, given, SAME_WEIGHTS.format(name=self.name))
        left, waited = dict(missing), False
        while left:
            try:
                ours = self.claims.take(list(left)) if self.shares else set(left)
                # Another run may have had the answer just before the claim.
                self.take_up(left, known, bar)
                asked |= ours & set(left)
                self.get({key: left.pop(key) for key in list(left) if key in ours}, known, bar)
            finally:
                self.claims.release()
            if left:
                if not waited:
                    logger.info("waiting for %s answers that another run has in flight", len(left))
                waited = True
                time.sleep(WAIT_S)
                self.take_up(left, known, bar)

    def take_up(self, left: dict[str, Request], known: dict[str, Answer], bar: "tqdm[Never]") -> None:
        """Move what the cache knows by now."""
        for key, kept in self.recalled(left).items():
            known[key] = kept.answer
            del left[key]
            bar.update()

    def get(self, requests: dict[str, Request], known: dict[str, Answer], bar: "tqdm[Never]") -> None:
        """Ask the provider and keep each answer as it arrives."""
        keys = list(requests)

        def arrived(index: int, answer: Answer, seconds: float) -> None:
            answer = levels_only(requests[keys[index]], answer)
            usd = self.paid(used(answer), self.price_share)
            if isinstance(answer, Reply | PaidError):
                self.cache.keep(f"{keys[index]}{self.place}", CachedReply(self.name, answer, usd, seconds), replace=self.refresh)
            bar.update()
            known[keys[index]] = answer

        if keys:
            self.opened().answer_each(list(requests.values()), arrived, bar.set_postfix_str)

    def count(self, keys: list[str], asked: set[str], known: dict[str, Answer]) -> None:
        """Add one `ask` to the tally, as far as it came."""
        answered = [key for key in keys if key in known]
        self.tally.requests += len(answered)
        self.tally.cached += len(answered) - sum(key in known for key in asked)
        self.tally.failed.update(answer.status for answer in map(known.__getitem__, answered) if isinstance(answer, ProviderError))

    def close(self) -> None:
        """Close the provider, if it was opened."""
        if self.provider is not None:
            self.provider.close()


OpenClient = Callable[[str, ModelParams, str], AbstractContextManager[Client]]
"""(name under models, its params, stage) -> client."""


@contextmanager
def open_client(name: str, model: ModelParams, stage: str = "") -> Iterator[Client]:
    """A client for the model called `name` under `models`; where `stage` is given, its usage report is written when the client closes."""
    cache = Cache(cache_file())
    client = CachedClient(name, model, cache, lambda: open_provider(name, model, cache))
    try:
        yield client
    finally:
        client.close()
        cache.close()
        if stage:
            write_usage(stage, name, client.tally)
        report(name, client.tally)


def open_provider(name: str, model: ModelParams, cache: Cache) -> Provider:
    """The provider that the params name."""
    if model.provider == "scripted":
        return BatchingProvider(Scripted(model.name), model.capabilities)
    if model.provider == "local":
        from neurogloss.llm.local.provider import open_local

        return BatchingProvider(open_local(model), model.capabilities)
    if model.provider == "litellm":
        from neurogloss.llm.litellm import open_litellm

        return open_litellm(name, model, cache)
    from neurogloss.llm.openai.provider import open_openai

    return open_openai(name, model, cache)


def no_echo(name: str, model: ModelParams) -> str:
    """What to do where a prompt's log-probabilities are needed and the endpoint gives none."""
    return (
        f"{model.name} gives no log-probabilities of a prompt; choose simulate.method compact, serve the model with vLLM, or put a local "
        f"one into simulate.model; if the endpoint gives them all the same, say so in endpoints.{name}.capabilities"
    )


def report(name: str, tally: Tally) -> None:
    """One line on what was asked and paid."""
    if tally.requests:
        failed = "".join(f", {count} {status}" for status, count in sorted(tally.failed.items()))
        prefix = f" ({tally.paid.cached_prompt} from the provider's prefix cache)" if tally.paid.cached_prompt else ""
        paid = f"{tally.paid.prompt} tokens in{prefix}, {tally.paid.completion} out, ${tally.cost_usd:.4f}"
        logger.info("%s answered %s questions, %s of them from the cache%s; %s", name, tally.requests, tally.cached, failed, paid)
