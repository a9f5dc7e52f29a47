"""An OpenAI-compatible HTTP server on loopback that answers after a fixed delay and fails in every way that real ones do.

    python -m tests.llm.server --delay 0.05 --faults 0.1 --seed 3 --log calls.txt

prints its address on the first line and writes a line per call, so that a benchmark can count what was asked across processes.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FAULTS = ("429", "500", "cut", "text", "hang")


@dataclass(frozen=True)
class Play:
    """One answer: a status with headers and a body, or a fault of the connection."""

    status: int = 200
    body: str | None = None
    """None: the answer the path asks for."""
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    """`cut` closes in the middle of the body, `hang` never answers, `drop` closes without a word."""
    delay: float | None = None


@dataclass(frozen=True)
class Call:
    """What came in."""

    method: str
    path: str
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.text)
        return value


def error(status: int, message: str, code: str = "", **headers: str) -> Play:
    body = json.dumps({"error": {"message": message, "code": code, "type": "test"}})
    return Play(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


PLAYS = {
    "429": error(429, "slow down", "rate_limit_exceeded", retry_after="0.05"),
    "500": error(500, "the server had an error"),
    "503": error(503, "loading model"),
    "401": error(401, "Incorrect API key provided: KEY", "invalid_api_key"),
    "403": error(403, "no access to this model"),
    "404": error(404, "The model `gpt-test` does not exist", "model_not_found"),
    "quota": error(429, "You exceeded your current quota, please check your plan and billing details.", "insufficient_quota"),
    "long": error(400, "This model's maximum context length is 4096 tokens.", "context_length_exceeded"),
    "malformed": error(400, "'temperature' must be at most 2", "invalid_value"),
    "html": Play(200, "<!DOCTYPE html><html><body>Sign in</body></html>", {"content-type": "text/html"}),
    "502": Play(502, "<html><body>Bad gateway</body></html>", {"content-type": "text/html"}),
    "text": Play(200, "upstream connect error", {"content-type": "text/plain"}),
    "empty": Play(200, ""),
    "cut": Play(fault="cut"),
    "hang": Play(fault="hang"),
    "drop": Play(fault="drop"),
}


def said(text: str) -> str:
    """What the model says to a prompt: always the same."""
    return f"words about {hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"


def chat(text: str, body: dict[str, Any], finish_reason: str = "stop", **more: Any) -> str:
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text} | more, "finish_reason": finish_reason}
    if body.get("logprobs"):
        entry = {"token": text, "logprob": -0.1, "top_logprobs": [{"token": text, "logprob": -0.1}, {"token": "7", "logprob": -2.5}]}
        choice["logprobs"] = {"content": [entry]}
    return json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": counted(json.dumps(body["messages"]), text)})


def completion(body: dict[str, Any], echoes: bool) -> str:
    prompt, text = body["prompt"], said(body["prompt"])
    choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
    if body.get("echo") and echoes:
        tokens = ["<s>", *pieces(prompt), "!"]
        choices = [None, *({token: -1.0, "0": -0.5, "10": -3.0} for token in tokens[1:])]
        choice |= {"text": prompt + "!", "finish_reason": "length", "logprobs": {"tokens": tokens, "top_logprobs": choices}}
    elif body.get("logprobs"):
        choice["logprobs"] = {"tokens": [text], "top_logprobs": [{text: -0.1, "7": -2.5}]}
    return json.dumps({"id": "x", "object": "text_completion", "choices": [choice], "usage": counted(prompt, text)})


def pieces(text: str) -> list[str]:
    """Text in tokens of at most four characters that never join a tab with what follows."""
    found: list[str] = []
    for character in text:
        if found and len(found[-1]) < 4 and not {"\t", "\n"} & {character, found[-1][-1]}:
            found[-1] += character
        else:
            found.append(character)
    return found


def counted(prompt: str, text: str) -> dict[str, Any]:
    cached = len(prompt.split()) // 2
    return {
        "prompt_tokens": len(prompt.split()),
        "completion_tokens": len(text.split()),
        "prompt_tokens_details": {"cached_tokens": cached},
    }


class Server:
    """Runs in a thread of its own. `plays` decides each call by its number (from 0) and content; None or `ok` is a plain answer."""

    def __init__(
        self,
        plays: Callable[[int, Call], Play | str | None] | None = None,
        delay: float = 0.0,
        echoes: bool = True,
        log: Path | None = None,
    ) -> None:
        self.plays = plays or (lambda number, call: None)
        self.delay = delay
        self.echoes = echoes
        self.log = log.open("a", encoding="utf-8", buffering=1) if log is not None else None
        self.calls: list[Call] = []
        self.in_flight = self.most_in_flight = self.connections = 0
        self.loop = asyncio.new_event_loop()
        self.port = 0
        self.tasks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> "Server":
        started = threading.Event()
        self.thread = threading.Thread(target=self.serve, args=(started,), daemon=True)
        self.thread.start()
        started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        if self.log is not None:
            self.log.close()

    def serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        listening = self.loop.run_until_complete(asyncio.start_server(self.connected, "127.0.0.1", 0, limit=2**24))
        self.port = listening.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()
        listening.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0.01))
        self.loop.close()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            async for call in incoming(reader):
                if not await self.reply(call, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            with contextlib.suppress(RuntimeError):
                writer.close()

    async def reply(self, call: Call, writer: asyncio.StreamWriter) -> bool:
        """Answer one call; False where the connection ends."""
        number = len(self.calls)
        self.calls.append(call)
        if self.log is not None:
            self.log.write(hashlib.sha256(call.text.encode()).hexdigest() + "\n")
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            chosen = self.plays(number, call)
            play = PLAYS[chosen] if isinstance(chosen, str) and chosen != "ok" else chosen
            play = play if isinstance(play, Play) else Play()
            await asyncio.sleep(self.delay if play.delay is None else play.delay)
            if play.fault == "hang":
                await asyncio.sleep(3600)
        finally:
            self.in_flight -= 1
        if play.fault == "drop":
            return False
        text = (play.body if play.body is not None else self.answer(call)).replace("KEY", call.headers.get("authorization", "")[7:])
        writer.write(raw(play, text))
        await writer.drain()
        return play.fault != "cut"

    def answer(self, call: Call) -> str:
        if call.path.partition("?")[0].endswith("/chat/completions"):
            return chat(said(json.dumps(call.body["messages"])), call.body)
        return completion(call.body, self.echoes)


def raw(play: Play, text: str) -> bytes:
    body = text.encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))} | play.headers
    lines = [f"HTTP/1.1 {play.status} X", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + (body[: len(body) // 2] if play.fault == "cut" else body)


async def incoming(reader: asyncio.StreamReader) -> AsyncIterator[Call]:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        method, path, _ = first.split(" ")
        yield Call(method, path, headers, body.decode())


def faulty(share: float, seed: int, faults: tuple[str, ...] = FAULTS) -> Callable[[int, Call], str | None]:
    """Fail a share of the calls, each with one of the faults."""
    rng = random.Random(seed)
    return lambda number, call: rng.choice(faults) if rng.random() < share else None


def in_turn(*plays: Play | str | None) -> Callable[[int, Call], Play | str | None]:
    """These plays first, plain answers after."""
    return lambda number, call: plays[number] if number < len(plays) else None


def always(play: Play | str) -> Callable[[int, Call], Play | str]:
    return lambda number, call: play


@contextlib.contextmanager
def forever(arguments: argparse.Namespace) -> Iterator[None]:
    with Server(faulty(arguments.faults, arguments.seed), arguments.delay, log=arguments.log) as server:
        print(server.url, flush=True)  # noqa: T201  # the first line is the address
        server.thread.join()
        yield


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path)
    with forever(parser.parse_args()):
        pass
