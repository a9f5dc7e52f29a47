"""OpenAI's Batch API: half the price, an answer within a day, and nothing lost when the run ends in between.

A batch is remembered with the keys of its requests before anything else happens, so a later run that asks any of them waits for the
same batch. One that was made just as the run ended is found again by the mark in its metadata.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import httpx2
import openai

from neurogloss.artifacts.status import Status
from neurogloss.config import environment
from neurogloss.errors import UserError
from neurogloss.llm.cache import Cache
from neurogloss.llm.openai.bodies import MalformedError, answer, body, sound
from neurogloss.llm.openai.capabilities import KnownCapabilities
from neurogloss.llm.openai.driver import TRIES, Arrived, Driver, StoppedError
from neurogloss.llm.openai.endpoint import Endpoint
from neurogloss.llm.openai.faults import Fault, ended, fault
from neurogloss.llm.openai.forms import Forms
from neurogloss.llm.openai.limiter import backoff_s
from neurogloss.llm.openai.transport import CONNECT_S
from neurogloss.llm.request import Answer, Request, failure
from neurogloss.llm.usage import BATCH_PRICE, cost_usd, used, worst_usd

logger = logging.getLogger(__name__)

MOST_REQUESTS, MOST_BYTES = 50_000, 100_000_000
"""In one batch; OpenAI takes 50,000 and 200 MB."""
FIRST_POLL_S, LONGEST_POLL_S = 2.0, 60.0
MOST_FORMS = 4
"""Times that a request is sent, each in another form."""
TECHNICAL = {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "transfer-encoding", "user-agent"}
"""Headers that are the library's business."""
DEAD = ("failed", "expired", "cancelled", "cancelling")
ENDED = ("completed", *DEAD)
MARK = "neurogloss"
"""Name of the metadata by which a batch is known."""
NO_BATCHES = (404, 405, 501)
Value = TypeVar("Value")
Asked = dict[str, tuple[int, Request]]
"""Requests by their keys, each with its position."""


def open_batches(place: Endpoint, driver: Driver, known: KnownCapabilities, cache: Cache) -> "Batches":
    """Through the official library: files and batches are few, and their forms many."""
    limits = openai.Timeout(float(environment.answer_timeout_s()), connect=CONNECT_S)

    async def own_headers(request: httpx2.Request) -> None:
        """The library would send a key that is none and, to any server, what its own variables say."""
        for name in set(request.headers) - TECHNICAL:
            del request.headers[name]
        request.headers.update(place.headers)

    transport = openai.DefaultAioHttpClient(timeout=limits, follow_redirects=False, event_hooks={"request": [own_headers]})
    address, _, query = place.base_url.partition("?")
    key = place.key or "none"
    more = dict(parse_qsl(query))
    api = openai.AsyncOpenAI(api_key=key, base_url=address, default_query=more, max_retries=0, timeout=limits, http_client=transport)
    return Batches(api, driver, known, cache)


class Batches:
    """Asks through batches of one endpoint."""

    def __init__(self, api: openai.AsyncOpenAI, driver: Driver, known: KnownCapabilities, cache: Cache) -> None:
        self.api = api
        self.driver = driver
        self.known = known
        self.cache = cache
        self.sent: dict[str, Forms] = {}
        """The forms in which this run sent each batch."""
        self.reserved: dict[str, float] = {}
        """Worst case of each batch that this run sent, in US dollars."""

    async def answer_each(self, requests: list[Request], arrived: Arrived) -> None:
        """Collect what earlier runs sent, send the rest, and wait for all of it; again while the endpoint asks for another form."""
        left = {request.key: (index, request) for index, request in enumerate(requests)}
        try:
            for again in reversed(range(MOST_FORMS)):
                left = await self.ask(left, arrived, last=not again)
                if not left:
                    return
        except (asyncio.CancelledError, KeyboardInterrupt):
            logger.warning("the batches go on without this run; run again with BATCH=1 to collect them")
            raise

    async def ask(self, left: Asked, arrived: Arrived, last: bool) -> Asked:
        """Ask once; gives back what the endpoint wants in another form, unless this is the last time."""
        waiting = self.remembered(set(left))
        covered = {key for _, keys in waiting for key in keys}
        again: Asked = {}
        for keys in portions({key: request for key, (_, request) in left.items() if key not in covered}, self.line):
            requests = [left[key][1] for key in keys]
            if not self.driver.budget.fits(self.worst_usd(requests)):
                # What is under way may turn out cheaper than its worst case.
                again |= await self.collect_all(waiting, left, arrived, last)
                waiting = []
            waiting.append((await self.send(requests), keys))
        return again | await self.collect_all(waiting, left, arrived, last)

    async def collect_all(self, waiting: list[tuple[str, list[str]]], left: Asked, arrived: Arrived, last: bool) -> Asked:
        """Collect batch after batch."""
        again: Asked = {}
        for batch, keys in waiting:
            again |= await self.collect(batch, {key: left[key] for key in keys if key in left}, arrived, last)
        return again

    def remembered(self, wanted: set[str]) -> list[tuple[str, list[str]]]:
        """Batches of earlier runs that hold some of these requests, with the keys of all of theirs."""
        rows = self.cache.run("SELECT id, requests FROM batches WHERE base_url = ? AND model = ?", (self.known.base_url, self.known.model))
        found = [(str(batch), json.loads(keys)) for batch, keys in rows]
        return [(batch, keys) for batch, keys in found if wanted & set(keys)]

    def line(self, request: Request) -> bytes:
        """A request as a line of the file that is sent."""
        path = "/v1/chat/completions" if request.messages else "/v1/completions"
        value = {"custom_id": request.key, "method": "POST", "url": path, "body": body(request, self.driver.model, self.known.forms())}
        return json.dumps(value).encode() + b"\n"

    def worst_usd(self, requests: list[Request]) -> float:
        """The most that a batch of these can cost."""
        if self.driver.budget.limit_usd is None:
            return 0.0
        price, bound = self.driver.model.price, self.driver.counter.bound
        return BATCH_PRICE * sum(worst_usd(bound(request), request.max_tokens, price) for request in requests)

    async def send(self, requests: list[Request]) -> str:
        """Make a batch, or find the one that an earlier run made of the same requests; its id, remembered."""
        # REFRESH=1 does not want an earlier batch found.
        refresh = [str(time.time_ns()).encode()] if environment.flag("REFRESH") else []
        mark = hashlib.sha256(b"".join([*map(self.line, requests), *refresh])).hexdigest()
        try:
            batch = await self.marked(mark) or await self.made(requests, mark)
        except StoppedError as error:
            if error.status in NO_BATCHES:
                raise StoppedError(
                    f"{self.known.base_url} has no batch API (HTTP {error.status}); run without BATCH=1", error.status
                ) from error
            raise
        self.sent[batch.id] = self.known.forms()
        statement = "INSERT OR REPLACE INTO batches VALUES (?,?,?,?)"
        keys = json.dumps([request.key for request in requests])
        self.cache.change(statement, (batch.id, self.known.base_url, self.known.model, keys))
        return str(batch.id)

    async def made(self, requests: list[Request], mark: str) -> Any:
        """A new batch, its worst case set aside from the budget."""
        worst = self.worst_usd(requests)
        await self.driver.budget.reserve(worst)
        content = b"".join(map(self.line, requests))
        file = await self.call(lambda: self.api.files.create(file=("requests.jsonl", content), purpose="batch"), fits=named)
        path: Any = "/v1/chat/completions" if requests[0].messages else "/v1/completions"
        create = partial(self.api.batches.create, input_file_id=file.id, endpoint=path, completion_window="24h", metadata={MARK: mark})
        # A second try may not make, and pay, a second batch.
        batch = await self.call(create, lambda: self.marked(mark), named)
        self.reserved[batch.id] = worst
        logger.info("sent batch %s of %s requests to %s", batch.id, len(requests), self.known.base_url)
        return batch

    async def marked(self, mark: str) -> Any | None:
        """A living batch with this mark that nobody collected yet: what it could answer is known then."""
        page = await self.call(lambda: self.api.batches.list(limit=100), fits=lambda found: isinstance(found.data, list))
        known = {batch for (batch,) in self.cache.run("SELECT id FROM batches")}
        fitting = (batch for batch in filter(has_status, page.data) if batch.status not in DEAD and batch.id not in known)
        return next((batch for batch in fitting if isinstance(batch.metadata, dict) and batch.metadata.get(MARK) == mark), None)

    async def collect(self, batch_id: str, wanted: Asked, arrived: Arrived, last: bool) -> Asked:
        """Wait for a batch and hand on its answers; what it did not answer gets a status and is sent again by the next run.

        Gives back what is to be asked again at once, unless it is the last time.
        """
        batch = await self.finished(batch_id)
        problem: Fault | None = None
        again: Asked = {}
        ended: list[UserError] = []

        def keep(index: int, found: Answer) -> None:
            # What was paid for is kept, also when an answer ends the stage.
            try:
                arrived(index, found, 0.0)
            except UserError as error:
                ended.append(error)

        for file in (batch.output_file_id, batch.error_file_id):
            for value in rows(await self.content(file)) if file else ():
                key = str(value.get("custom_id"))
                index, request = wanted.pop(key, (None, None))
                if index is None or request is None:
                    continue
                found = self.read(request, value, self.sent.get(batch_id, {}))
                if isinstance(found, Fault) and found.what == "again":
                    again[key] = (index, request)
                elif isinstance(found, Fault):
                    problem = found
                else:
                    await self.driver.budget.settle(0.0, BATCH_PRICE * cost_usd(used(found), self.driver.model.price))
                    keep(index, found)
        await self.driver.budget.settle(self.reserved.pop(batch_id, 0.0), 0.0)
        # Kept without its requests, or it would be found again by its mark.
        self.cache.change("UPDATE batches SET requests = '[]' WHERE id = ?", (batch_id,))
        if batch.status == "failed" or problem is not None:
            errors = getattr(batch.errors, "data", None) or []
            message = problem.message if problem is not None else "; ".join(str(error.message) for error in errors) or "no reason given"
            raise StoppedError(self.driver.described(f"batch {batch_id}: {message}"), problem.status if problem is not None else 0)
        if ended:
            raise ended[0]
        for index, _ in (*wanted.values(), *(again.values() if last else ())):
            arrived(index, failure(Status.UNANSWERED, f"batch {batch_id} ended as {batch.status} without this answer"), 0.0)
        return {} if last else again

    async def finished(self, batch_id: str) -> Any:
        """The batch once it has ended."""
        wait, said = FIRST_POLL_S, ""
        while True:
            batch = await self.call(lambda: self.api.batches.retrieve(batch_id), fits=has_status)
            counts = batch.request_counts
            now = f"{batch.status}, {getattr(counts, 'completed', 0)} of {getattr(counts, 'total', '?')} answered"
            if now != said:
                logger.info("batch %s: %s", batch_id, now)
                said = now
            if batch.status in ENDED and batch.status != "cancelling":
                return batch
            await asyncio.sleep(wait)
            wait = min(LONGEST_POLL_S, 1.5 * wait)

    async def content(self, file: str) -> str:
        """Text of a file."""
        return (await self.call(lambda: self.api.files.content(file))).content.decode(errors="replace")

    def read(self, request: Request, value: dict[str, Any], sent: Forms) -> Answer | Fault:
        """The answer in a line of the result; a Fault where all the others would fail alike; a malformed line is no answer."""
        try:
            return self.read_row(request, value, sent)
        except Exception as error:  # noqa: BLE001  # whatever stands in a line is a fault of its request alone
            return failure(Status.UNANSWERED, f"the line is malformed ({type(error).__name__}: {sound(str(error))[:200]})")

    def read_row(self, request: Request, value: dict[str, Any], sent: Forms) -> Answer | Fault:
        """`read`; raises whatever a malformed line makes of it."""
        response = value.get("response") or {}
        text = json.dumps(response.get("body") or {"error": value.get("error") or "no answer"})
        text = self.driver.place.without_secrets(text)
        problem = fault(int(response.get("status_code") or 500), {}, text)
        if problem is None:
            try:
                said = answer(request, json.loads(text))
            except MalformedError as error:
                return failure(Status.UNANSWERED, str(error))
            self.known.answered(body(request, self.driver.model), sent)
            return said
        problem = self.known.adapt(problem, body(request, self.driver.model), sent)
        if problem.what in ("again", "stop"):
            return problem
        return ended(problem, self.driver.place.redacted(problem.message))

    async def call(
        self,
        ask: Callable[[], Awaitable[Value]],
        done: Callable[[], Awaitable[Value | None]] | None = None,
        fits: Callable[[Any], object] = lambda found: True,
    ) -> Value:
        """Retry until it succeeds or has permanently failed. `done` finds what a call without an answer may have made.

        What does not look as it `fits` is malformed, and so is what the library cannot read.
        """
        for tries in range(1, TRIES + 1):
            try:
                found = await ask()
                if fits(found):
                    return found
                problem = Fault("retry", "the answer is malformed")
            except openai.APIStatusError as error:
                problem = fault(error.status_code, error.response.headers, error.response.text) or Fault("retry", "no reason given")
                if problem.what != "retry":
                    raise StoppedError(self.driver.described(problem.message), problem.status) from error
            except openai.APIConnectionError as error:
                problem = Fault("retry", f"the connection broke ({error})")
            except Exception as error:  # noqa: BLE001  # whatever the library makes of a malformed answer
                problem = Fault("retry", f"the answer is malformed ({type(error).__name__}: {sound(str(error))[:200]})")
            logger.info("trying again: %s", self.driver.place.redacted(problem.message))
            await asyncio.sleep(backoff_s(tries, problem.after_s, self.driver.rng))
            if done is not None and (made := await done()) is not None:
                return made
        raise UserError(self.driver.described(f"{problem.message}; run again later, all answers are kept"))


def named(found: Any) -> bool:
    """Whether this is something that was made, with its name."""
    return isinstance(getattr(found, "id", None), str)


def has_status(found: Any) -> bool:
    """Whether this is a batch."""
    return named(found) and isinstance(getattr(found, "status", None), str)


def portions(requests: dict[str, Request], line: Callable[[Request], bytes]) -> Iterator[list[str]]:
    """Keys of requests that fit into one batch: of one path, not too many, not too long."""
    for chat in (True, False):
        keys: list[str] = []
        size = 0
        for key, request in requests.items():
            if bool(request.messages) != chat:
                continue
            length = len(line(request))
            if keys and (len(keys) >= MOST_REQUESTS or size + length > MOST_BYTES):
                yield keys
                keys, size = [], 0
            keys.append(key)
            size += length
        if keys:
            yield keys


def rows(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects of a JSONL file; lines that are none are left out, their requests count as not answered."""
    for line in text.split("\n"):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value
