"""Any OpenAI-compatible endpoint, through the official library with its own retries off: chat, completions, echoed prompts."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import httpx2
import openai

from neurogloss.config import environment
from neurogloss.config.models import ModelParams
from neurogloss.llm.budget import Budget
from neurogloss.llm.cache import Cache
from neurogloss.llm.openai.batch import Batches
from neurogloss.llm.openai.bodies import MalformedError, answer, body, sound
from neurogloss.llm.openai.capabilities import KnownCapabilities, probe
from neurogloss.llm.openai.driver import Arrived, Attempt, Driver
from neurogloss.llm.openai.endpoint import Endpoint, endpoint
from neurogloss.llm.openai.faults import Fault, fault
from neurogloss.llm.openai.forms import Forms, reshaped
from neurogloss.llm.request import Answer, Capability, Request, Usage
from neurogloss.llm.tokens import ESTIMATE, openai_counter
from neurogloss.llm.usage import used

logger = logging.getLogger(__name__)

CONNECT_S = 10.0
Paid = Callable[[Usage], object]
"""Called with the cost of a request that the provider sent on its own account."""


class Connection:
    """One client of the library, with its pool of connections."""

    def __init__(self, model: ModelParams, place: Endpoint, known: KnownCapabilities) -> None:
        self.model = model
        self.known = known
        self.timeout_s = environment.answer_timeout_s()
        limits = openai.Timeout(float(self.timeout_s), connect=CONNECT_S)
        # aiohttp takes half the processor time of the default transport, which is what bounds many short answers.
        self.transport = openai.DefaultAioHttpClient(timeout=limits, follow_redirects=False)
        self.api = openai.AsyncOpenAI(api_key=place.key, base_url=place.base_url, max_retries=0, timeout=limits, http_client=self.transport)
        self.heard: Callable[[Mapping[str, str]], None] = lambda headers: None
        """Called with the headers of every answer."""

    async def post(self, request: Request) -> Attempt:
        """Send one request once and read what comes back."""
        usual, forms = body(request, self.model), self.known.forms()
        try:
            # The library's limit is between two bytes; a trickle must end too.
            async with asyncio.timeout(self.timeout_s + CONNECT_S):
                raw = await self.send(reshaped(usual, forms))
        except openai.APIStatusError as error:
            problem = fault(error.status_code, error.response.headers, error.response.text)
            return Attempt(problem and self.known.adapt(problem, usual, forms))
        except (openai.APIConnectionError, TimeoutError) as error:
            return broken(error, self.timeout_s)
        except Exception as error:  # noqa: BLE001  # whatever the library makes of a malformed answer is a fault of this request alone
            return malformed(error)
        try:
            return self.read(request, raw, usual, forms)
        except Exception as error:  # noqa: BLE001  # as above: a charset or a depth that no decoder takes
            return malformed(error)

    async def send(self, value: dict[str, Any]) -> httpx2.Response:
        """The whole HTTP answer of chat or completions, not taken apart: the library's own models cost more time than the sending."""
        path = "/chat/completions" if "messages" in value else "/completions"
        return await self.api.post(path, body=value, cast_to=httpx2.Response)

    def read(self, request: Request, raw: httpx2.Response, usual: dict[str, Any], forms: Forms) -> Attempt:
        """The answer in a body with a good status."""
        self.heard(raw.headers)
        problem = fault(raw.status_code, raw.headers, raw.text)
        if problem is not None:
            return Attempt(self.known.adapt(problem, usual, forms), maybe_paid=True)
        try:
            said = answer(request, json.loads(raw.text))
        except MalformedError as error:
            return Attempt(Fault("retry", str(error)), maybe_paid=True)
        self.known.answered(usual, forms)
        return Attempt(None, said)


def broken(error: BaseException, timeout_s: float) -> Attempt:
    """What a connection that gave no answer means, by the chain of causes: the transport's own names say more than the library's."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and len(chain) < 10:
        chain.append(cause)
    # By their bases, too: a name that nobody knows and a certificate that is wrong are connector errors of their own.
    names = {base.__name__ for link in chain for base in type(link).__mro__}
    unreachable = bool(names & {"ConnectError", "ClientConnectorError", "ConnectionTimeoutError"})
    late = isinstance(error, openai.APITimeoutError | TimeoutError) and "ServerDisconnectedError" not in names
    if unreachable:
        # The library calls all of them a time-out; only one is.
        message = f"no connection within {CONNECT_S:.0f} s" if "ConnectionTimeoutError" in names else reason(chain[-1])
    else:
        message = f"no answer within {timeout_s} s (NEUROGLOSS_TIMEOUT_S)" if late else f"the connection broke ({reason(chain[-1])})"
    return Attempt(Fault("retry", message), None, unreachable, not unreachable)


def malformed(error: Exception) -> Attempt:
    """An answer that could not be read at all; it may have been paid for."""
    said = " ".join(sound(str(error)).split())[:200]
    return Attempt(Fault("retry", f"the answer is malformed ({type(error).__name__}: {said})"), maybe_paid=True)


def reason(error: BaseException) -> str:
    """What the operating system says, without its numbers."""
    number = getattr(error, "errno", None)
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    return str(getattr(error, "strerror", None) or error) if number is not None else str(error) or type(error).__name__


class OpenAIProvider:
    """Answers through one endpoint."""

    def __init__(self, name: str, model: ModelParams, cache: Cache, place: Endpoint) -> None:
        budget = Budget(environment.budget_usd(), cache)
        if budget.limit_usd is not None and not (model.price.prompt or model.price.completion):
            logger.warning("endpoints.%s.price is 0, so NEUROGLOSS_BUDGET_USD does not hold for it", name)
        counter = openai_counter(model.name) if budget.limit_usd is not None else ESTIMATE
        self.known = KnownCapabilities(cache, place.shown, model.name)
        if environment.flag("REFRESH"):
            self.known.offered = self.known.forms()
        self.driver = Driver(name, model, place, budget, counter)
        self.connection = Connection(model, place, self.known)
        self.connection.heard = self.driver.pace.answered
        self.runner = asyncio.Runner()
        self.batches = Batches(self.connection.api, self.driver, self.known, cache) if environment.flag("BATCH") else None

    def answer_each(self, requests: list[Request], arrived: Arrived) -> None:
        """Ask all, through batches where BATCH=1 says so."""
        if self.batches is not None:
            self.runner.run(self.batches.answer_each(requests, arrived))
        else:
            self.answer_now(requests, arrived)

    def answer_now(self, requests: list[Request], arrived: Arrived) -> None:
        """Ask all; raises the UserError that ended it, or KeyboardInterrupt, after what was under way has arrived."""
        self.runner.run(self.driver.drive(self.connection, requests, arrived))
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
        self.runner.run(self.connection.api.close())
        self.runner.close()


def open_openai(name: str, model: ModelParams, cache: Cache) -> OpenAIProvider:
    """The provider of a model; UserError where its address or key is missing or is none."""
    return OpenAIProvider(name, model, cache, endpoint(model))
