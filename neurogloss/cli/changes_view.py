"""Changes of params, prompts and stages as Markdown that GitHub shows in a comment."""

import html
import re
from typing import Any

from neurogloss.comparison.changes import OTHERS_NAMED, Change, StageChange, words_changed
from neurogloss.comparison.lock import Lock, flat

LONGEST = 120
NAMED = 4
"""Files and params named as a reason."""
DONE = (
    ("ran", r"Running stage '{}'"),
    ("restored, not run again", r"Stage '{}' is cached|Pulling data for stage: '{}'|Pulling data for .*\b{}\b"),
    ("as it was", r"Stage '{}' didn't change"),
)
"""What DVC says of a stage, and in our words."""


def warning_part(stale: dict[str, list[str]]) -> str:
    """Where the result is not of what is here."""
    if not stale:
        return ""
    lines = [f"> - `{stage}`: {'; '.join(map(escaped, reasons[:NAMED]))}" for stage, reasons in stale.items()]
    return "\n".join(
        [
            "> [!WARNING]",
            "> The result is not of these params and this code: `dvc repro` has to run before the numbers count.",
            *lines,
            "\n",
        ]
    )


def params_part(changes: list[Change], lock: Lock, base: str) -> str:
    """A table of values that changed, then prompts word by word."""
    if not changes:
        return f"### Params\n\nThe same as at {escaped(base)}.\n\n"
    read = {name for stage in lock.stages.values() for name in flat(stage.params)}
    values = [change for change in changes if not change.prose]
    parts = ["### Params", ""]
    if values:
        parts += [f"| param | {cell(base)} | now |", "|---|---|---|"]
        parts += [f"| {titled(change, read)} | {code(change.before)} | {code(change.after)} |" for change in values] + [""]
    for change in changes:
        if change.prose:
            text = words_changed(str(change.before or ""), str(change.after or ""))
            parts += [titled(change, read), f"<pre>{text}</pre>", ""]
    return "\n".join([*parts, ""])


def titled(change: Change, read: set[str]) -> str:
    """A param's name, and what to know of it."""
    notes = [f"against {code(change.like)}, which it is most like"] if change.like else []
    if change.also:
        shown = ", ".join(code(name) for name in change.also[:OTHERS_NAMED])
        more = len(change.also) - OTHERS_NAMED
        notes.append(f"and so {shown}" + (f" and {more} more" if more > 0 else ""))
    if change.name.startswith("prompts.") and not read & {change.name, *change.also}:
        notes.append("no stage reads it")
    return code(change.name) + (f" ({'; '.join(notes)})" if notes else "")


def stages_part(changes: list[StageChange] | None, base: str, log: str) -> str:
    """A row for each stage: what it did here, whether it made something else than at the base, and why."""
    if changes is None:
        return f"### Stages\n\n{escaped(base)} holds no result to compare the stages with.\n\n"
    rows = [f"| `{change.stage}` | {done(change, log)} | {made(change)} | {why(change)} |" for change in changes]
    return "\n".join(["### Stages", "", "| stage | here | what it made | what it read that differs |", "|---|---|---|---|", *rows, "", ""])


def done(change: StageChange, log: str) -> str:
    """What the stage did in this run, as far as DVC's words say."""
    for words, pattern in DONE:
        if re.search(pattern.replace("{}", re.escape(change.stage)), log):
            return words
    return "not run here"


def made(change: StageChange) -> str:
    """Whether its outputs differ."""
    return "**something else**" if change.outs else "the same"


def why(change: StageChange) -> str:
    """Its changed params, then inputs, then code."""
    shown = ", ".join(code(name) for name in change.reasons[:NAMED])
    more = len(change.reasons) - NAMED
    return shown + (f" and {more} more" if more > 0 else "")


def code(value: Any) -> str:
    """A value as code in a table's cell; a dash where there is none.

    >>> code("a | b"), code(None), code([1, 2])
    ('`a \\\\| b`', '-', '`[1, 2]`')
    """
    if value is None:
        return "-"
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    return f"`{text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}`"


def cell(text: str) -> str:
    """A text that stands in a table's cell."""
    return escaped(text).replace("|", "\\|")


def escaped(text: str) -> str:
    """A text that is no markup, and names nobody."""
    return html.escape(" ".join(text.split()), quote=False).replace("@", "@\u200b")
