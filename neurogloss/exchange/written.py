"""Questions that were written to a file: remembered beside the replies, so that an answer is understood whatever the params say by then."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from neurogloss.llm.cache import CHUNK, Cache
from neurogloss.llm.request import Message, Request

TABLE = """CREATE TABLE IF NOT EXISTS questions (key TEXT PRIMARY KEY, model TEXT NOT NULL, name TEXT NOT NULL, base_url TEXT NOT NULL,
    file TEXT NOT NULL, line INTEGER NOT NULL, request TEXT NOT NULL)"""
"""Not among the cache's own tables: a cache without it is as good."""


@dataclass(frozen=True, slots=True)
class WrittenQuestion:
    """A question, and where it was written."""

    key: str
    model: str
    """Name under `models`."""
    name: str
    """What the endpoint calls it."""
    base_url: str
    """Where the model is on this machine, or IMPORTED."""
    file: str
    """Name of the file, without its folder."""
    line: int
    """From 1."""
    request: Request
    """As much of it as an answer is read by: the texts of a conversation are left out."""


def remember(cache: Cache, questions: Iterable[WrittenQuestion]) -> None:
    """Keep questions until they are answered; one that was written before is now of the new file."""
    cache.change(TABLE)
    rows = [(one.key, one.model, one.name, one.base_url, one.file, one.line, to_text(one.request)) for one in questions]
    cache.change_all("INSERT OR REPLACE INTO questions VALUES (?,?,?,?,?,?,?)", rows)


def recall(cache: Cache, keys: Iterable[str]) -> dict[str, WrittenQuestion]:
    """The questions of these keys that were written and are not answered."""
    cache.change(TABLE)
    wanted, found = list(dict.fromkeys(keys)), {}
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        marks = ",".join("?" * len(chunk))
        for key, model, name, base_url, file, line, text in cache.run(f"SELECT * FROM questions WHERE key IN ({marks})", chunk):
            found[key] = WrittenQuestion(key, model, name, base_url, file, line, from_text(text))
    return found


def forget(cache: Cache, keys: Iterable[str]) -> None:
    """Answered questions."""
    cache.change_all("DELETE FROM questions WHERE key = ?", [(key,) for key in keys])


def lines_left(cache: Cache, file: str) -> list[int]:
    """Lines of a file of questions that have no answer."""
    return [line for (line,) in cache.run("SELECT line FROM questions WHERE file = ? ORDER BY line", [file])]


def to_text(request: Request) -> str:
    """A request as JSON. A conversation's texts are nine tenths of it, and no answer is read by them."""
    if request.messages:
        request = replace(request, messages=(Message("user", ""),))
    return json.dumps(asdict(request))


def from_text(text: str) -> Request:
    """What `to_text` wrote."""
    value = json.loads(text)
    messages = tuple(Message(**message) for message in value.pop("messages"))
    return Request(**value | {"messages": messages, "stop": tuple(value["stop"])})
