"""How fast an endpoint is asked: so many requests in flight, fewer when it complains, none while it asks to wait."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Mapping

from neurogloss.llm.openai.faults import seconds_of

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
BELIEVED = 3
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
    """Places for requests in flight. Halves the places on each new complaint about the rate and grows back one answer at a time."""

    def __init__(self, places: int) -> None:
        self.most = places
        self.places = float(places)
        self.in_flight = 0
        self.closed_until = 0.0
        self.complained = 0.0
        self.freed = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, and give it back."""
        async with self.freed:
            while self.in_flight >= max(1, int(self.places)):
                await self.freed.wait()
            self.in_flight += 1
        try:
            while (wait := self.closed_until - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            yield
        finally:
            async with self.freed:
                self.in_flight -= 1
                self.freed.notify_all()

    def answered(self, headers: Mapping[str, str]) -> None:
        """Grow by a share of a place, and stop short of a limit that the headers tell of."""
        self.places = min(float(self.most), self.places + 1.0 / max(1.0, self.places))
        for kind in ("requests", "tokens"):
            wait = spacing_s(headers, kind, self.in_flight)
            if wait:
                self.close(min(wait, AHEAD))

    def limited(self, wait_s: float) -> None:
        """The endpoint complained: nobody asks for so long, and then fewer at once. Complaints of one moment count once."""
        now = time.monotonic()
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
