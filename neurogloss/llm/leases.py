"""Which requests each run has in flight, so that two runs at once never pay for the same answer.

A lease holds as long as its owner's lock file is locked. The system unlocks the file of a process that was killed, so it blocks nobody.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from neurogloss.llm.cache import Cache


class Leases:
    """The leases of one client, by the keys of requests."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.owner = f"{os.getpid()}-{secrets.token_hex(8)}"
        self.alive = self.lock_of(self.owner)

    def take(self, keys: list[str]) -> set[str]:
        """Lease the keys that no running client has; all keys that are ours now."""
        if not self.alive.is_locked:
            with self.cache.explained():
                self.alive.acquire()
        for (owner,) in self.cache.run("SELECT DISTINCT owner FROM claims WHERE owner != ?", [self.owner]):
            self.remove_if_ended(owner)
        self.cache.change_all("INSERT OR IGNORE INTO claims VALUES (?,?)", [(key, self.owner) for key in keys])
        return {key for (key,) in self.cache.run("SELECT key FROM claims WHERE owner = ?", [self.owner])}

    def release(self) -> None:
        """Give up all leases: what was answered is in the cache, the rest is anyone's."""
        if self.alive.is_locked:
            self.cache.change("DELETE FROM claims WHERE owner = ?", [self.owner])
            self.alive.release()
            Path(self.alive.lock_file).unlink(missing_ok=True)

    def remove_if_ended(self, owner: str) -> None:
        """Remove another client's leases where its process has ended."""
        lock = self.lock_of(owner)
        with self.cache.explained(), suppress(Timeout), lock.acquire(timeout=0):
            self.cache.change("DELETE FROM claims WHERE owner = ?", [owner])
            Path(lock.lock_file).unlink(missing_ok=True)

    def lock_of(self, owner: str) -> FileLock:
        """The file that an owner keeps locked while it has leases."""
        folder = self.cache.path.with_name(f"{self.cache.path.name}.leases")
        with self.cache.explained():
            folder.mkdir(exist_ok=True)
        return FileLock(folder / f"{owner.replace('/', '-')}.lock", thread_local=False)
