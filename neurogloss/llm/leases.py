"""Who asks what right now, so that two runs at once never pay for the same question.

A claim lasts as long as its process: one that was killed holds nothing up.
"""

import contextlib
import os
import secrets
from pathlib import Path

from neurogloss.llm.cache import Cache

ENDED = ("Z", "X")
"""States of a process that has ended and whose parent has not asked for its result."""


class Leases:
    """What one client asks."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.owner = f"{os.getpid()}/{started(os.getpid())}/{secrets.token_hex(4)}"

    def take(self, keys: list[str]) -> set[str]:
        """Claim what no living process asks; the keys that are ours now."""
        for (owner,) in self.cache.run("SELECT DISTINCT owner FROM claims"):
            if not alive(owner):
                self.cache.change("DELETE FROM claims WHERE owner = ?", [owner])
        self.cache.change_all("INSERT OR IGNORE INTO claims VALUES (?,?)", [(key, self.owner) for key in keys])
        return {key for (key,) in self.cache.run("SELECT key FROM claims WHERE owner = ?", [self.owner])}

    def release(self) -> None:
        """Let go of everything: what was answered is in the cache, the rest is anyone's."""
        self.cache.change("DELETE FROM claims WHERE owner = ?", [self.owner])


def alive(owner: str) -> bool:
    """Whether the process that made a claim still runs on this machine."""
    process, start, _ = owner.split("/")
    if start:
        return started(int(process)) == start
    if os.name != "posix":
        return int(process) == os.getpid()
    with contextlib.suppress(PermissionError):
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            return False
    return True


def started(process: int) -> str:
    """When a process started, in ticks since the machine did: process numbers come back, this does not.

    Nothing for one that has ended, though nobody took notice yet, and where there is no /proc.
    """
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in ENDED else fields[19]
