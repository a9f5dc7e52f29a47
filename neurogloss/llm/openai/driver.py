"""Many requests in flight at one endpoint, each retried until answered or permanently failed.

A transient fault is retried with exponential backoff up to a total time, and where the endpoint answers others meanwhile up to a number
of tries, and ends as the status `unanswered`; a permanent one (key, quota, model, address, malformed request) ends the stage at once.
On Ctrl-C no new request is sent, those in flight are awaited and kept, and a second Ctrl-C drops them.
"""

import asyncio
import contextlib
import logging
import math
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from neurogloss.artifacts.status import Status
from neurogloss.config import environment
from neurogloss.config.models import ModelParams
from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.budget import Budget
from neurogloss.llm.openai.endpoint import Endpoint
from neurogloss.llm.openai.faults import Fault, ended
from neurogloss.llm.openai.limiter import AdaptiveLimiter, backoff_s
from neurogloss.llm.request import Answer, Request, failure
from neurogloss.llm.tokens import TokenCounter
from neurogloss.llm.usage import cost_usd, used, worst_usd

logger = logging.getLogger(__name__)

TRIES = 8
"""Of one request that fails while others are answered, or that may be paid for each time; an endpoint that is down is only timed."""
FIRST_TRIES = 3
"""Of connecting to an endpoint that never answered."""
MOST_CONSECUTIVE_FAILURES = 8
"""Requests given up in a row, at least, before the endpoint is."""

SLOW = "raise NEUROGLOSS_TIMEOUT_S, lower NEUROGLOSS_CONCURRENCY or let it answer in fewer tokens (max_tokens), then run again"
"""What to do about a server that is slower than it may be."""
SHOWN_S, EVERY_S = 0.5, 30.0
"""Between two changes of the progress bar, and two lines of the log, that say what delays the answers."""

Arrived = Callable[[int, Answer, float], None]
"""Called with a request's position, its answer and the seconds it took, the moment the answer is there. A UserError ends the stage."""
Noticed = Callable[[str], None]
"""Called with what delays the answers, for the progress bar."""


def unnoticed(what: str) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of sending a request once: an answer, or a fault."""

    fault: Fault | None
    answer: Answer | None = None
    unreachable: bool = False
    """Nobody took the connection."""
    maybe_paid: bool = False
    """The question went out and no answer came back: the endpoint may have worked for nothing."""
    late: bool = False
    """No answer came in time."""


class Transport(Protocol):
    """Sends one request once."""

    async def post(self, request: Request) -> Attempt:
        """Never raises for what the endpoint or the way there does."""
        ...


class StoppedError(UserError):
    """The endpoint said something that ends the stage."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
        """Of HTTP; 0 where there was none."""


class Driver:
    """Asks one endpoint for as long as the client is open; what it learns of the endpoint's pace holds from one batch to the next."""

    def __init__(self, name: str, model: ModelParams, place: Endpoint, budget: Budget, counter: TokenCounter) -> None:
        self.name = name
        self.model = model
        self.place = place
        self.budget = budget
        self.counter = counter
        self.pace = AdaptiveLimiter(environment.concurrency(), environment.answer_timeout_s())
        self.retry_s = environment.retry_limit_s()
        self.rng = random.Random()
        self.stopping = self.interrupted = False
        self.failure: UserError | None = None
        self.heard = False
        """Somebody answered at this address, whatever it was."""
        self.answers = 0
        self.sent = 0
        """Requests that are under way."""
        self.retries = 0
        self.logged = self.shown = -math.inf
        self.noticed: Noticed = unnoticed
        self.consecutive_failures = 0
        """Requests given up since the last answer."""

    async def drive(self, transport: Transport, requests: list[Request], arrived: Arrived, noticed: Noticed = unnoticed) -> None:
        """As many workers as places; each takes the next request."""
        self.stopping = self.interrupted = False
        self.pace.ended = asyncio.Event()
        self.noticed = noticed
        self.failure = None
        left = iter(enumerate(requests))
        with self.draining():
            workers = [self.work(transport, left, arrived) for _ in range(min(len(requests), self.pace.most))]
            await asyncio.gather(*workers)

    def check(self) -> None:
        """Raise what ended the last `drive` early, once what was under way has arrived."""
        if self.failure is not None:
            raise self.failure
        if self.interrupted:
            raise KeyboardInterrupt

    async def work(self, transport: Transport, left: Iterator[tuple[int, Request]], arrived: Arrived) -> None:
        """Take requests until none is left or the stage stops."""
        for index, request in left:
            if self.stopping:
                return
            try:
                found, seconds = await self.one(transport, request)
                if found is None:
                    return
                arrived(index, found, seconds)
            except UserError as error:
                self.failure = self.failure or error
                self.stop()
                return

    def stop(self) -> None:
        """Ask nothing more, and wait out no pause."""
        self.stopping = True
        self.pace.ended.set()

    async def one(self, transport: Transport, request: Request) -> tuple[Answer | None, float]:
        """One request's answer and the seconds of its last try; None where the stage stops first."""
        began, tries, complaints, before = math.inf, 0, 0, 0
        while not self.stopping:
            said, seconds = await self.attempt(transport, request)
            began = min(began, time.monotonic() - seconds)
            if said.answer is not None:
                self.consecutive_failures = 0
                self.answers += 1
                return said.answer, seconds
            problem = said.fault
            if problem is None or problem.what == "again":
                continue
            if problem.what in ("too_long", "refused"):
                return ended(problem, self.place.redacted(problem.message)), seconds
            if problem.what == "stop":
                raise StoppedError(self.described(problem.message), problem.status)
            before = before if complaints else self.answers
            complaints += 1
            tries += not problem.limited and (said.maybe_paid or self.answers > before)
            self.check_reachable(said, complaints)
            wait = backoff_s(complaints, problem.after_s, self.rng)
            if tries >= TRIES or time.monotonic() + wait - began > self.retry_s:
                return self.given_up(said, problem), seconds
            if problem.limited:
                self.pace.limited(wait)
            self.notice(problem, wait)
            await self.pace.pause(wait)
        return None, 0.0

    def notice(self, problem: Fault, wait: float) -> None:
        """Say what is tried again, in the progress bar and now and then in the log."""
        self.retries += 1
        now = time.monotonic()
        if now >= self.shown + SHOWN_S:
            self.shown = now
            self.noticed(f"{self.retries} tried again")
        if now >= self.logged + EVERY_S:
            self.logged = now
            logger.info("trying again in %.1f s: %s", wait, self.described(problem.message))

    async def attempt(self, transport: Transport, request: Request) -> tuple[Attempt, float]:
        """One try, within a place and the budget, and the seconds it took."""
        async with self.pace.place():
            if self.stopping:
                return Attempt(None), 0.0
            worst = 0.0
            if self.budget.limit_usd is not None:
                worst = worst_usd(self.counter.bound(request), request.max_tokens, self.model.price)
            await self.budget.reserve(worst)
            said, sent, beside = Attempt(None, maybe_paid=True), time.monotonic(), self.pace.in_flight
            self.sent += 1
            try:
                said = await transport.post(request)
            finally:
                self.sent -= 1
                paid = cost_usd(used(said.answer), self.model.price) if said.answer is not None else worst * said.maybe_paid
                await self.budget.settle(worst, paid)
            self.heard |= not said.unreachable
            seconds = time.monotonic() - sent
            if said.answer is not None:
                self.pace.took(seconds, beside)
            elif said.late:
                self.pace.late()
            return said, seconds

    def check_reachable(self, said: Attempt, tries: int) -> None:
        """UserError where nobody ever answered at this address."""
        if said.unreachable and not self.heard and tries >= FIRST_TRIES:
            reason = said.fault.message if said.fault else "no connection"
            raise UserError(self.described(f"cannot be reached, {reason}: is the server running, and is {{base_url_from}} right?"))

    def given_up(self, said: Attempt, problem: Fault) -> ProviderError:
        """The status of a request that no retry could mend; UserError when that is all the endpoint still does."""
        if problem.after_s is not None and problem.after_s > self.retry_s:
            raise UserError(
                self.described(f"{problem.message}; it asks to wait {problem.after_s:.0f} s: run again then, all answers are kept")
            )
        self.consecutive_failures += 1
        hint = SLOW if said.late else "run again later"
        if self.consecutive_failures >= max(MOST_CONSECUTIVE_FAILURES, self.pace.most):
            raise UserError(
                self.described(f"failed on the last {self.consecutive_failures} requests, {problem.message}; {hint}, all answers are kept")
            )
        return failure(Status.UNANSWERED, self.place.redacted(problem.message))

    def described(self, message: str) -> str:
        """One line that names the endpoint and what to look at, with no key in it."""
        names = {"key_from": self.place.key_from, "base_url_from": self.place.base_url_from, "name": self.name, "model": self.model.name}
        message = self.place.redacted(message)
        for mark, value in names.items():
            message = message.replace(f"{{{mark}}}", value)
        return f"{self.place.shown}: {message}"

    @contextlib.contextmanager
    def draining(self) -> Iterator[None]:
        """While this runs, the first Ctrl-C only stops asking; the second is the usual one."""
        loop = asyncio.get_running_loop()
        # Outside the main thread, and on Windows, the usual interrupt stays.
        unsupported = (NotImplementedError, RuntimeError, ValueError)

        def stop() -> None:
            self.interrupted = True
            self.stop()
            if self.sent:
                logger.warning("stopping: waiting for %s answers under way, which are paid for; Ctrl-C again drops them", self.sent)
            loop.remove_signal_handler(signal.SIGINT)

        with contextlib.suppress(*unsupported):
            loop.add_signal_handler(signal.SIGINT, stop)
        try:
            yield
        finally:
            with contextlib.suppress(*unsupported):
                loop.remove_signal_handler(signal.SIGINT)
