"""Replies, kept the moment they arrive, so that no question is paid for twice.

One SQLite file in WAL mode at `.cache/llm.sqlite` under the repository (also from DVC's temporary workspaces), outside the
outs: stages stay pure functions of inputs and replies. The key is the sha256 of the whole request and, behind it, the place
that answered (`neurogloss.llm.places`). What is kept:

- whole answers, a refusal and an answer cut off at `max_tokens` included: both were paid for, and the same question at the same
  settings would be paid again for the same outcome. A new `sample`, a larger `max_tokens` or REFRESH=1 asks again;
- nothing that failed on the way (timed out, dropped, 5xx, prompt too long), no header, no key, no endpoint's password.
"""

import json
import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurogloss.config import environment
from neurogloss.errors import UserError
from neurogloss.llm.request import Answer, PaidError, Reply, TokenLogprobs, Usage

logger = logging.getLogger(__name__)

VERSION = 1
CHUNK = 100
"""Keys in one SELECT: a reply with a thousand alternatives for each token takes a megabyte."""
TABLES = """
CREATE TABLE replies (key TEXT PRIMARY KEY, model TEXT NOT NULL, status TEXT NOT NULL, reply TEXT NOT NULL, prompt INTEGER NOT NULL,
    cached_prompt INTEGER NOT NULL, completion INTEGER NOT NULL, cost_usd REAL NOT NULL, seconds REAL NOT NULL);
CREATE INDEX replies_of_model ON replies (model);
CREATE TABLE hits (model TEXT PRIMARY KEY, hits INTEGER NOT NULL, saved_usd REAL NOT NULL);
CREATE TABLE endpoints (base_url TEXT NOT NULL, model TEXT NOT NULL, capability TEXT NOT NULL, offered INTEGER NOT NULL,
    PRIMARY KEY (base_url, model, capability));
CREATE TABLE batches (id TEXT PRIMARY KEY, base_url TEXT NOT NULL, model TEXT NOT NULL, requests TEXT NOT NULL);
CREATE TABLE spending (run TEXT PRIMARY KEY, usd REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class CachedReply:
    """An answer with what it took."""

    model: str
    """Name under `models`."""
    answer: Reply | PaidError
    cost_usd: float
    seconds: float
    """From sending the question to the whole answer; 0 where several were answered together through a batch."""


def cache_file() -> Path:
    """Where the replies of this repository are kept."""
    return environment.repository() / ".cache" / "llm.sqlite"


class Cache:
    """The replies of one repository. Any number of processes may use the file at once; a connection serves any thread, one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        with self.explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Autocommit: a reply is on disk before the next one is looked at.
            self.connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self.connection.execute("PRAGMA journal_mode=WAL")
            self.connection.execute("PRAGMA synchronous=NORMAL")
            self.prepare()

    def prepare(self) -> None:
        """Make the tables, or check that they are of this version."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in TABLES.split(";"):
                    self.connection.execute(statement)
                self.connection.execute(f"PRAGMA user_version={VERSION}")
        finally:
            self.connection.execute("COMMIT")
        if version not in (0, VERSION):
            raise UserError(
                f"{self.path} has version {version}, expected {VERSION}; move it away, or export it with the version that wrote it"
            )
        # Holds nothing that lasts, so it is no reason for another version.
        self.connection.execute("CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL)")

    def find(self, keys: Iterable[str]) -> dict[str, CachedReply]:
        """The kept answers among these keys."""
        return dict(self.each(keys))

    def each(self, keys: Iterable[str]) -> Iterator[tuple[str, CachedReply]]:
        """The same, one after the other."""
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), CHUNK):
            chunk = wanted[start : start + CHUNK]
            marks = ",".join("?" * len(chunk))
            for key, *row in self.run(f"SELECT key, {COLUMNS} FROM replies WHERE key IN ({marks})", chunk):
                if (kept := self.understood(key, row)) is not None:
                    yield key, kept

    def keep(self, key: str, kept: CachedReply, replace: bool = False) -> bool:
        """Store an answer; False where the key has one already (which stays, unless `replace`)."""
        verb = "REPLACE" if replace else "IGNORE"
        return self.change(f"INSERT OR {verb} INTO replies (key, {COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", (key, *to_row(kept))) > 0

    def keep_all(self, rows: Iterable[tuple[str, CachedReply]]) -> int:
        """Store many answers at once, all or none; the number of new ones. What is known stays."""
        values = [(key, *to_row(kept)) for key, kept in rows]
        return self.change_all(f"INSERT OR IGNORE INTO replies (key, {COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", values)

    def run(self, statement: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a statement."""
        with self.lock, self.explained():
            return self.connection.execute(statement, tuple(values)).fetchall()

    def change(self, statement: str, values: Iterable[Any] = ()) -> int:
        """Rows changed by a statement."""
        with self.lock, self.explained():
            return self.connection.execute(statement, tuple(values)).rowcount

    def change_all(self, statement: str, rows: list[tuple[Any, ...]]) -> int:
        """Rows changed by a statement for each of these values, all or none."""
        with self.lock, self.explained(), self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            return self.connection.executemany(statement, rows).rowcount

    def rows(self) -> Iterator[tuple[str, CachedReply]]:
        """All answers by key, in the order of the keys."""
        last = ""
        while chunk := self.run(f"SELECT key, {COLUMNS} FROM replies WHERE key > ? ORDER BY key LIMIT {CHUNK}", [last]):
            for last, *row in chunk:
                if (kept := self.understood(last, row)) is not None:
                    yield last, kept

    def understood(self, key: str, row: list[Any]) -> CachedReply | None:
        """The answer in a row; a damaged one is dropped, and said, so that its question is asked again."""
        try:
            return from_row(row)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            logger.warning("dropped a damaged reply of %s from %s (%s: %s)", row[0], self.path, type(error).__name__, error)
            self.change("DELETE FROM replies WHERE key = ?", [key])
            return None

    def count_hits(self, model: str, hits: int, saved_usd: float) -> None:
        """Add to what the cache has spared."""
        add = "hits=hits+excluded.hits, saved_usd=saved_usd+excluded.saved_usd"
        if hits:
            self.change(f"INSERT INTO hits VALUES (?,?,?) ON CONFLICT (model) DO UPDATE SET {add}", (model, hits, saved_usd))

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.connection.close()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what SQLite and the disk say into one line that says what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise UserError(
                f"cannot use {self.path}: {error}; free the disk, or end the process that holds the file, and run again"
            ) from error
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.path} is damaged ({error}); move it away and run again, or import an export of it") from error
        except OSError as error:
            raise UserError(f"cannot use {self.path}: {error.strerror}; change the folder's rights and run again") from error


COLUMNS = "model, status, reply, prompt, cached_prompt, completion, cost_usd, seconds"


def to_row(kept: CachedReply) -> tuple[Any, ...]:
    """Values of COLUMNS."""
    answer, usage = kept.answer, kept.answer.usage
    if isinstance(answer, Reply):
        status, value = "ok", {"text": answer.text, "finish_reason": answer.finish_reason}
        if answer.tokens:
            value["tokens"] = [to_list(token) for token in answer.tokens]  # type: ignore[assignment]  # JSON
    else:
        status, value = answer.status, {"message": str(answer), "text": answer.text}
    # Escaped: half characters are no UTF-8, and SQLite would refuse them.
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return kept.model, status, text, usage.prompt, usage.cached_prompt, usage.completion, kept.cost_usd, kept.seconds


def to_list(token: TokenLogprobs) -> list[Any]:
    """A token's fields; the last is left out where it is not known."""
    return [token.token, token.alternatives] if token.least is None else [token.token, token.alternatives, token.least]


def from_row(row: list[Any]) -> CachedReply:
    """The answer in values of COLUMNS; raises KeyError, TypeError or ValueError for values that are none."""
    model, status, text, prompt, cached_prompt, completion, cost_usd, seconds = row
    usage, value = Usage(prompt, cached_prompt, completion), json.loads(text)
    answer: Reply | PaidError
    if status == "ok":
        tokens = tuple(TokenLogprobs(*token) for token in value.get("tokens", ()))
        answer = Reply(value["text"], value["finish_reason"], tokens, usage)
    else:
        answer = PaidError(status, value["message"], usage, value["text"])
    return CachedReply(model, answer, cost_usd, seconds)


def worth_keeping(answer: Answer) -> bool:
    """Whether asking again would only pay again."""
    return isinstance(answer, Reply | PaidError)
