"""Any OpenAI-compatible endpoint: chat, completions, echoed prompts."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from neurogloss.config import environment
from neurogloss.config.models import ModelParams
from neurogloss.llm.budget import Budget
from neurogloss.llm.cache import Cache
from neurogloss.llm.openai.batch import open_batches
from neurogloss.llm.openai.capabilities import KnownCapabilities, probe
from neurogloss.llm.openai.driver import Arrived, Driver, Noticed, unnoticed
from neurogloss.llm.openai.endpoint import Endpoint, endpoint
from neurogloss.llm.openai.transport import Connection
from neurogloss.llm.places import note_address
from neurogloss.llm.request import Answer, Capability, Request, Usage
from neurogloss.llm.tokens import ESTIMATE, openai_counter
from neurogloss.llm.usage import used

logger = logging.getLogger(__name__)

Paid = Callable[[Usage], object]
"""Called with the cost of a request that the provider sent on its own account."""


class OpenAIProvider:
    """Answers through one endpoint."""

    def __init__(self, name: str, model: ModelParams, cache: Cache, place: Endpoint, connect: type[Connection] = Connection) -> None:
        budget = Budget(environment.budget_usd(), cache)
        if budget.limit_usd is not None and not (model.price.prompt or model.price.completion):
            logger.warning("endpoints.%s.price is 0, so NEUROGLOSS_BUDGET_USD does not hold for it", name)
        counter = openai_counter(model.name) if budget.limit_usd is not None else ESTIMATE
        note_address(cache, model, place.shown)
        self.known = KnownCapabilities(cache, place.shown, model.name)
        if environment.flag("REFRESH"):
            self.known.offered = self.known.forms()
        self.driver = Driver(name, model, place, budget, counter)
        self.connection = connect(model, place, self.known)
        self.connection.heard = self.driver.pace.answered
        self.runner = asyncio.Runner()
        self.batches = open_batches(place, self.driver, self.known, cache) if environment.flag("BATCH") else None

    def answer_each(self, requests: list[Request], arrived: Arrived, noticed: Noticed = unnoticed) -> None:
        """Ask all, through batches where BATCH=1 says so."""
        if self.batches is not None:
            self.runner.run(self.batches.answer_each(requests, arrived))
        else:
            self.answer_now(requests, arrived, noticed)

    def answer_now(self, requests: list[Request], arrived: Arrived, noticed: Noticed = unnoticed) -> None:
        """Ask all; raises the UserError that ended it, or KeyboardInterrupt, after what was under way has arrived."""
        self.runner.run(self.driver.drive(self.connection, requests, arrived, noticed))
        self.driver.check()

    def offers(self, capability: Capability, paid: Paid) -> bool:
        """What the endpoint can do: known from before, else asked by one small question."""
        known = self.known.says(capability)
        if known is None:
            known = probe(capability, partial(self.ask_one, paid), self.driver.name, self.driver.model.name)
            self.known.learn(capability, known)
            logger.info("%s at %s %s %s", self.driver.model.name, self.known.base_url, "offers" if known else "does not offer", capability)
        return known

    def ask_one(self, paid: Paid, request: Request) -> Answer:
        """One answer; UserError as `answer_now` raises it."""
        found: list[Answer] = []
        self.answer_now([request], lambda index, said, seconds: found.append(said))
        paid(used(found[0]))
        return found[0]

    def close(self) -> None:
        """Close the connections and the loop."""
        self.runner.run(self.connection.close())
        if self.batches is not None:
            self.runner.run(self.batches.api.close())
        self.runner.close()


def open_openai(name: str, model: ModelParams, cache: Cache) -> OpenAIProvider:
    """The provider of a model; UserError where its address or key is missing or is none."""
    return OpenAIProvider(name, model, cache, endpoint(model))
