"""Answers as no server should give them, over a real socket: bytes, headers, statuses, charsets, framings, slow drips and shapes of JSON.

    python -m tests.llm.fuzzing 10000

asks so many questions, each answered first by one of these and then plainly, and prints what came of it as one JSON line:
tracebacks, answers that were whole and yet asked for (and paid) again, seconds of the slowest ask, megabytes at most.
"""

import asyncio
import gzip
import json
import os
import re
import resource
import sys
import tempfile
import threading
import time
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from neurogloss.config import environment
from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.client import open_client
from neurogloss.llm.openai import limiter
from neurogloss.llm.openai.driver import Attempt
from neurogloss.llm.openai.limiter import AdaptiveLimiter
from neurogloss.llm.openai.transport import Connection
from neurogloss.llm.request import Reply, Request
from tests.llm.asking import model, question

TOGETHER, ROUND = 16, 400
QUIET = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
TIMEOUT_S = 1.0
PACKING = zlib.compressobj(1, zlib.DEFLATED, 31)
BOMB = b"".join([*(PACKING.compress(bytes(1_000_000)) for _ in range(60)), PACKING.flush()])
NUMBER = re.compile(rb"number (-?\d+)")


def plain(text: str, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}} | more


@dataclass(frozen=True)
class Odd:
    """What goes over the socket: pieces of bytes with a pause after each, then an end."""

    pieces: tuple[bytes, ...]
    pause_s: float = 0.0
    end: str = "keep"
    """`keep` the connection, `close` it, `reset` it."""
    whole: bool = False
    """A good answer, however odd its frame: it must be kept, and not be asked for again."""


NAMES = st.sampled_from(
    [
        *(
            "choices",
            "message",
            "content",
            "text",
            "usage",
            "error",
            "code",
            "type",
            "detail",
            "logprobs",
            "tokens",
            "top_logprobs",
            "refusal",
        ),
        *(
            "finish_reason",
            "prompt_tokens",
            "completion_tokens",
            "prompt_tokens_details",
            "reasoning_content",
            "tool_calls",
            "param",
            "msg",
        ),
    ]
)
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from(["stop", "length", "assistant", 1e400]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
WORDS = st.sampled_from(
    [
        *("Unsupported parameter: 'temperature'", "max_tokens is not supported, use max_completion_tokens", "context length exceeded"),
        *(
            "slow down",
            "\ud83d",
            "<b>",
            "insufficient_quota",
            "Incorrect API key",
            "content_filter",
            "try again in 0.1s",
            "Request too large",
        ),
    ]
)
DEEP = (b"[", b'{"choices":', b'{"error":', b'{"choices":[{"message":')
PAGES = (b"<!DOCTYPE html><html>sign in</html>", b"upstream connect error", b"data: {}\n\ndata: [DONE]\n")
HUGE = (b"[" + b"0," * 1_900_000 + b"0]", b" " * 5_000_000, b"1" * 100_000, b'{"a":' + b"[]" * 9)
KINDS = (*8 * ("good",), "usage", "usage", "shape", "inside", "error", "bytes", "cut", "deep", "page", "empty", "huge")
PLACES = ((), ("choices",), ("choices", 0), ("choices", 0, "message"))


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bool]:
    """A body, and whether it is a good answer."""
    kind = draw(st.sampled_from(KINDS))
    good = plain(draw(st.text(st.characters(), max_size=40)))
    if kind == "good":
        good["choices"][0]["message"] |= draw(st.dictionaries(st.sampled_from(["role", "name", "tool_calls", "audio"]), SHAPES, max_size=2))
    elif kind == "usage":
        good["usage"] = draw(SHAPES)
    else:
        return spoiled_body(draw, kind, good), False
    text = json.dumps(good, ensure_ascii=draw(st.booleans()))
    return text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig"])), errors="replace"), True


def spoiled_body(draw: st.DrawFn, kind: str, good: dict[str, Any]) -> bytes:
    """A body that is no answer, or not surely one."""
    if kind == "inside":
        where: Any = good
        for step in draw(st.sampled_from(PLACES)):
            where = where[step]
        where[0 if isinstance(where, list) else draw(st.sampled_from(sorted(where)))] = draw(SHAPES)
    whole = json.dumps(good).encode()
    if kind == "cut":
        return whole[: draw(st.integers(0, len(whole) - 1))]
    if kind == "shape":
        return json.dumps(draw(SHAPES)).encode()
    if kind == "error":
        return json.dumps({"error": draw(SHAPES | st.fixed_dictionaries({"message": WORDS | SHAPES, "code": SHAPES | WORDS}))}).encode()
    if kind == "deep":
        return draw(st.sampled_from(DEEP)) * draw(st.sampled_from([900, 9000, 90_000]))
    some = {"bytes": st.binary(max_size=200), "page": st.sampled_from(PAGES), "huge": st.sampled_from(HUGE), "empty": st.just(b"")}
    return draw(some[kind]) if kind in some else whole


COOKIE = b"set-cookie: " + b"a" * 9000
HARMLESS = [COOKIE, *rb"""set-cookie: =;;;
content-type: application/json; charset=idna
content-type: application/json; charset=xxxxxxxxxxxxxxxxxxxxxxxxxxxxx
content-type: text/html
content-type: ;;;=
content-encoding: identity
x-ratelimit-limit-requests: soon
x-ratelimit-reset-tokens: 1e999s
retry-after: never
date: 0""".split(b"\n"), b"server: \xff\xfe", b"x-a: " + b"\t" * 20 + b"b"]  # fmt: skip
HARMFUL = [33 * COOKIE, *rb"""content-length: 3
content-length: -1
content-length: x
content-encoding: gzip
content-encoding: br
content-encoding: deflate
content-encoding: gzip, gzip
transfer-encoding: gzip
retry-after: -1
retry-after: 0.2
location: http://[::1
upgrade: websocket
connection: upgrade
no colon
: empty
 folded""".split(b"\n"), b"x: a\x00b"]  # fmt: skip
LINES = st.binary(max_size=30).map(lambda line: line.replace(b"\n", b""))
STATUSES = (
    *(200, 201, 202, 204, 206, 299, 300, 301, 304, 307, 400, 401, 402, 403, 404, 405, 408, 409, 413, 415, 422, 425, 429, 451),
    *(500, 501, 502, 503, 504, 520, 529, 599, 600, 999),
)
STARTS = (b"HTTP/1.1 abc", b"HTTP/9.9 200 OK", b"", b"ICY 200 OK", b"HTTP/1.1 20", b"HTTP/1.1 -200 OK")


@st.composite
def odds(draw: st.DrawFn) -> Odd:
    """One answer."""
    body, good = draw(bodies())
    status, headers = 200, draw(st.lists(st.sampled_from(HARMLESS), max_size=4))
    if draw(st.integers(0, 2)) == 2 // 2:
        status, good = draw(st.sampled_from(STATUSES)), False
    if draw(st.integers(0, 4)) == 4 // 2:
        headers, good = headers + draw(st.lists(st.sampled_from(HARMFUL) | LINES, min_size=1, max_size=3)), False
    if draw(st.integers(0, 60)) == 60 // 2:
        body, headers, good = BOMB, [b"content-encoding: gzip"], False
    elif good and draw(st.booleans()):
        body, headers = gzip.compress(body), [b"content-encoding: gzip"]
    start = draw(st.sampled_from([b"HTTP/1.1 %d OK" % status] * 6 + [b"HTTP/1.1 %d" % status, b"HTTP/1.0 %d OK" % status]))
    if draw(st.integers(0, 15)) == 15 // 2:
        start, good = draw(st.sampled_from(STARTS)), False
    data, end = framed(draw, [start, *headers], body)
    spoiled = draw(st.sampled_from(["no"] * 16 + ["cut", "reset", "flipped", "trailing", "interim"]))
    if spoiled in ("cut", "reset"):
        data, good, end = data[: draw(st.integers(0, len(data)))], False, "close" if spoiled == "cut" else "reset"
    elif spoiled == "flipped":
        at = draw(st.integers(0, len(data) - 1))
        data, good, end = data[:at] + draw(st.binary(min_size=1, max_size=3)) + data[at + 1 :], False, "close"
    elif spoiled == "trailing":
        data, good = data + draw(st.binary(max_size=20)), False
    elif spoiled == "interim":
        data = b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n" + data
    return delivered(draw, data, end, good)


def framed(draw: st.DrawFn, head: list[bytes], body: bytes) -> tuple[bytes, str]:
    """The whole answer, its end told by a length, by chunks or by the end of the connection."""
    old = head[0].startswith(b"HTTP/1.0")
    framing, end = draw(st.sampled_from(["length", "length", "chunked", "close"])), "close" if old else "keep"
    if framing == "length":
        head = [*head, b"content-length: %d" % len(body)]
    elif framing == "chunked" and not old:
        head = [*head, b"transfer-encoding: chunked"]
        size = max(draw(st.integers(1, 4096)), len(body) // 50 + 1)
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    else:
        head, end = [*head, b"connection: close"], "close"
    return b"\r\n".join(head) + b"\r\n\r\n" + body, end


def delivered(draw: st.DrawFn, data: bytes, end: str, good: bool) -> Odd:
    """The same in pieces; some of them so slowly that they never end."""
    if draw(st.integers(0, 60)) == 60 // 2:
        return Odd(tuple(data[at : at + 1] for at in range(min(len(data), 40))), 0.1, "keep", False)
    cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=4))})
    return Odd(tuple(data[start:stop] for start, stop in pairwise(cuts)), draw(st.sampled_from([0.0, 0.0, 0.002])), end, good)


@dataclass
class OddServer:
    """Answers the first call of each numbered question oddly, every other one plainly."""

    odd: dict[int, Odd] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)
    port: int = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = re.search(rb"content-length: *(\d+)", head, re.I)
                body = await reader.readexactly(int(found[1]) if found else 0)
                if not await self.reply(body, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def reply(self, body: bytes, writer: asyncio.StreamWriter) -> bool:
        found = NUMBER.search(body)
        number = int(found[1]) if found else -1
        self.calls[number] = self.calls.get(number, 0) + 1
        odd = self.odd.get(number)
        if odd is None or self.calls[number] > 1:
            text = json.dumps(plain(f"plain {number}")).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text) + text)
            return True
        for piece in odd.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(odd.pause_s)
        if odd.end == "reset":
            writer.transport.abort()
        return odd.end == "keep"


@contextmanager
def serving() -> Iterator[OddServer]:
    server, loop, started = OddServer(), asyncio.new_event_loop(), threading.Event()

    def run() -> None:
        listening = loop.run_until_complete(asyncio.start_server(server.connected, "127.0.0.1", 0, limit=2**24))
        server.port = listening.sockets[0].getsockname()[1]
        started.set()
        loop.run_forever()
        listening.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait(10)
    yield server
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@dataclass
class Outcome:
    """What came of all of it."""

    answers: int = 0
    tracebacks: int = 0
    whole: int = 0
    lost: int = 0
    slowest_s: float = 0.0
    first: str = ""


def ask_all(server: OddServer, client: Any, answers: list[Odd], outcome: Outcome) -> None:
    """Ask as many questions as there are answers, again where one of them ended the run, as a user would."""
    numbers = range(outcome.answers, outcome.answers + len(answers))
    outcome.answers += len(answers)
    server.odd = dict(zip(numbers, answers, strict=True))
    asked = [question(f"number {number}") for number in numbers]
    for _ in range(len(answers) + 1):
        try:
            found = client.ask(asked, "")
            assert all(isinstance(one, Reply | ProviderError) for one in found)
            break
        except UserError as error:
            assert "\n" not in str(error)
        except Exception:  # noqa: BLE001  # it is what is looked for
            outcome.tracebacks += 1
            outcome.first = outcome.first or traceback.format_exc()
    for number, odd in tuple(server.odd.items()):
        outcome.whole += odd.whole
        if odd.whole and server.calls.get(number, 0) != 1 and again(server, client, odd):
            outcome.lost += 1
            outcome.first = outcome.first or f"asked more than once: {b''.join(odd.pieces)[:300]!r}"


def again(server: OddServer, client: Any, odd: Odd) -> bool:
    """Whether a good answer gets lost alone, too, and not only where a busy machine took longer than the time-out."""
    for number in (-2, -3, -4):
        server.odd, server.calls[number] = {number: odd}, 0
        client.ask([question(f"alone {time.monotonic_ns()} number {number}")], "")
        if server.calls[number] == 1:
            return False
    return True


@contextmanager
def timed(outcome: Outcome) -> Iterator[None]:
    """Notes the slowest try of a request."""
    post = Connection.post

    async def timed_post(self: Connection, request: Request) -> Attempt:
        began = time.monotonic()
        try:
            return await post(self, request)
        finally:
            outcome.slowest_s = max(outcome.slowest_s, time.monotonic() - began)

    with patch.object(Connection, "post", timed_post):
        yield


def throw(count: int, number: int, server: OddServer, client: Any, outcome: Outcome) -> None:
    """One round, of a seed of its own: what Hypothesis remembers of it ends with it."""

    @seed(number)
    @settings(max_examples=count // TOGETHER, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(odds(), min_size=TOGETHER, max_size=TOGETHER))
    def run(answers: list[Odd]) -> None:
        ask_all(server, client, answers, outcome)

    run()


def fuzz(count: int) -> Outcome:
    """Throw so many answers at a client."""
    outcome = Outcome()
    # As fast as it can: half of these answers never end, and nobody here is to be spared.
    spared = {"late": lambda self: None, "limited": AdaptiveLimiter.close}
    with serving() as server, patch.multiple(AdaptiveLimiter, **spared):
        address = {"OPENAI_BASE_URL": f"http://127.0.0.1:{server.port}/v1", "NEUROGLOSS_CONCURRENCY": str(TOGETHER)}
        with patch.dict(os.environ, address), timed(outcome), open_client("gpt", model()) as client:
            client.ask([question("the first")], "")
            client.provider.driver.pace.places = float(TOGETHER)

            for number in range(-(-count // ROUND)):
                throw(min(count, ROUND), number, server, client, outcome)
    return outcome


def main() -> None:
    limits = {"FIRST_WAIT_S": 0.005, "LONGEST_WAIT_S": 0.02}
    with (
        patch.multiple(limiter, **limits),
        patch.object(environment, "answer_timeout_s", lambda: TIMEOUT_S),
        tempfile.TemporaryDirectory() as folder,
    ):
        os.environ |= {"DVC_ROOT": folder, "OPENAI_API_KEY": "sk-abc", "NEUROGLOSS_RETRY_S": "1"}
        outcome = fuzz(int(sys.argv[1]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(outcome.__dict__ | {"peak_mb": round(peak)}))  # noqa: T201  # the result


if __name__ == "__main__":
    main()
