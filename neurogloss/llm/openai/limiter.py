"""How fast an endpoint is asked: as many requests in flight as it answers in time, fewer when it complains, none while it asks to wait."""

import asyncio
import contextlib
import math
import random
import time
from collections.abc import AsyncIterator, Mapping

from neurogloss.llm.openai.faults import seconds_of

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
BELIEVED = 3
MARGIN = 0.8
"""Of the time-out that the last of the requests in flight may need."""
FORGET = 0.8
"""Share that stays of what was slower before, with each answer."""
AHEAD = 1.5
"""Seconds before a limit refills that are waited at most on the word of a header alone."""


def backoff_s(tries: int, asked_s: float | None, rng: random.Random) -> float:
    """Seconds until the next try: what the server asks, else doubling from half a second, with jitter so that requests spread out.

    A server that asks for a short wait again and again is not believed for ever: after some tries the wait doubles all the same.
    """
    doubled = tries if asked_s is None else tries - BELIEVED
    own = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(doubled, 10)) * rng.uniform(0.5, 1.0) if doubled >= 0 else 0.0
    return own if asked_s is None else max(own, asked_s + rng.uniform(0, 0.05 * asked_s + 0.02))


class AdaptiveLimiter:
    """Places for requests in flight: one at first, one more with each answer, half as many after each complaint about the rate.

    Never so many that a server which answers one after the other could not answer the last of them in time. Such a server, and one
    that is busy, is known by what an answer takes: seconds by requests that were in flight when it was asked for.
    """

    def __init__(self, places: int, timeout_s: float = math.inf) -> None:
        self.most = places
        self.timeout_s = timeout_s
        self.places = 1.0
        self.in_flight = 0
        self.closed_until = 0.0
        self.complained = 0.0
        self.doubling = True
        """Each answer adds a place; after the first complaint only a share of one."""
        self.share_s = 0.0
        """Seconds an answer took by requests in flight, the slow ones remembered for longer."""
        self.freed = asyncio.Condition()
        self.ended = asyncio.Event()
        """No pause is waited out."""

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place and for the end of a pause, and give it back."""
        async with self.freed:
            while self.in_flight >= max(1, int(self.places)):
                await self.freed.wait()
            self.in_flight += 1
        try:
            while (wait := self.closed_until - time.monotonic()) > 0 and not await self.pause(wait):
                pass
            yield
        finally:
            async with self.freed:
                self.in_flight -= 1
                self.freed.notify_all()

    async def pause(self, seconds: float) -> bool:
        """Wait so long, or until the run ends; whether it did."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), seconds)
        return self.ended.is_set()

    def answered(self, headers: Mapping[str, str]) -> None:
        """Stop short of a limit that the headers tell of."""
        for kind in ("requests", "tokens"):
            wait = spacing_s(headers, kind, self.in_flight)
            if wait:
                self.close(min(wait, AHEAD))

    def took(self, seconds: float, in_flight: int) -> None:
        """An answer came after so long, asked for as one of so many: grow, as far as the time-out allows."""
        share = seconds / max(1, in_flight)
        self.share_s = max(share, FORGET * self.share_s + (1 - FORGET) * share)
        step = 1.0 if self.doubling else 1.0 / self.places
        allowed = MARGIN * self.timeout_s / max(self.share_s, 1e-9)
        self.places = max(1.0, min(float(self.most), self.places + step, allowed))

    def late(self) -> None:
        """An answer did not come in time: fewer at once, as after a complaint, but without a pause."""
        self.limited(0.0)

    def limited(self, wait_s: float) -> None:
        """The endpoint complained: nobody asks for so long, and then fewer at once. Complaints of one moment count once."""
        now = time.monotonic()
        self.doubling = False
        if now >= self.complained:
            self.places = max(1.0, self.places / 2)
            self.complained = now + max(wait_s, 0.1)
        self.close(wait_s)

    def close(self, seconds: float) -> None:
        """Ask nothing for so long."""
        self.closed_until = max(self.closed_until, time.monotonic() + seconds)


def spacing_s(headers: Mapping[str, str], kind: str, in_flight: int) -> float:
    """Seconds to wait before the next request, from `x-ratelimit-*`: the time in which what one request takes flows back.

    A limit of which more is left than the requests in flight can take asks for no wait.

    >>> low = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "60s"}
    >>> spacing_s(low, "requests", 4), spacing_s(low | {"x-ratelimit-remaining-requests": "9"}, "requests", 4), spacing_s({}, "tokens", 4)
    (1.0, 0.0, 0.0)
    """
    limit, left, reset = (seconds_of(headers.get(f"x-ratelimit-{what}-{kind}", "")) for what in ("limit", "remaining", "reset"))
    if limit is None or left is None or reset is None or limit <= left:
        return 0.0
    # Tokens: a request is taken to need a fiftieth of the limit at most, which holds where fifty a minute are allowed.
    need = 1.0 if kind == "requests" else limit / 50
    return 0.0 if left > need * in_flight else need * reset / (limit - left)
