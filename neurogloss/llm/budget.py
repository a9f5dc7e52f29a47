"""A limit in US dollars that is never passed: the worst case of a request is set aside before it is sent.

The limit holds for one run. Stages that the same `dvc repro` starts are one run: what they spent is added up in the file of replies.
"""

import asyncio
import os
import sys
from pathlib import Path

from neurogloss.errors import UserError
from neurogloss.llm.cache import Cache


class Budget:
    """What may still be spent. Without a limit it only adds up."""

    def __init__(self, limit_usd: float | None, cache: Cache) -> None:
        self.limit_usd = limit_usd
        self.cache = cache
        self.run = current_run()
        self.spent_usd = 0.0
        """By this process, answers that may have been paid for without arriving included at their worst case."""
        self.reserved_usd = 0.0
        rows = cache.run("SELECT usd FROM spending WHERE run = ?", [self.run]) if limit_usd is not None else []
        self.before_usd = float(rows[0][0]) if rows else 0.0
        """By earlier stages of the same run."""
        self.settled = asyncio.Condition()

    async def reserve(self, worst_usd: float) -> None:
        """Set a request's worst case aside; waits while requests under way may still turn out cheaper. UserError when nothing is left."""
        async with self.settled:
            while not self.fits(worst_usd):
                if self.reserved_usd <= 0:
                    raise UserError(self.message(worst_usd))
                await self.settled.wait()
            self.reserved_usd += worst_usd

    async def settle(self, worst_usd: float, usd: float) -> None:
        """Give back what was set aside, and count what it cost."""
        async with self.settled:
            self.reserved_usd = max(0.0, self.reserved_usd - worst_usd)
            if self.reserved_usd < 1e-12:
                self.reserved_usd = 0.0
            self.spent_usd += usd
            if self.limit_usd is not None and usd:
                add = "ON CONFLICT (run) DO UPDATE SET usd=usd+excluded.usd"
                self.cache.change(f"INSERT INTO spending VALUES (?,?) {add}", (self.run, usd))
            self.settled.notify_all()

    def fits(self, worst_usd: float) -> bool:
        """Whether so much more stays within the limit."""
        return self.limit_usd is None or self.before_usd + self.spent_usd + self.reserved_usd + worst_usd <= self.limit_usd + 1e-12

    def message(self, worst_usd: float) -> str:
        """What was spent and what to do."""
        spent = self.before_usd + self.spent_usd
        return (
            f"the budget of ${self.limit_usd:.4f} holds: ${spent:.4f} spent in this run, the next request may cost ${worst_usd:.4f}; "
            "every answer is kept, so raise NEUROGLOSS_BUDGET_USD and run again to go on"
        )


def current_run() -> str:
    """The same for all stages that one `dvc repro` starts, else this process alone."""
    if os.environ.get("DVC_ROOT") and sys.platform == "linux":
        parent = os.getppid()
        return f"dvc {parent} {start_ticks(parent)}"
    return f"process {os.getpid()} {start_ticks(os.getpid())}"


def start_ticks(process: int) -> str:
    """When a process started, in ticks since the machine did, as process ids are used again; empty where there is no /proc."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]
