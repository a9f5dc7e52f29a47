"""What changed between two versions of the params and of dvc.lock: values, prompts word by word, stages with their reasons."""

import difflib
import html
import re
from dataclasses import dataclass
from typing import Any

from neurogloss.comparison.lock import Lock, flat

CONTEXT = 70
"""Characters of unchanged text shown on either side of a change."""
OTHERS_NAMED = 2


@dataclass(frozen=True)
class Change:
    """One value that differs."""

    name: str
    before: Any
    """None where it was absent."""
    after: Any
    also: tuple[str, ...] = ()
    """Further names with the same change: an example's text stands in every prompt that shows it."""
    like: str = ""
    """For a value of an added prompt: the name of the value it is shown against."""

    @property
    def prose(self) -> bool:
        """Whether it is text to read word by word."""
        return any(isinstance(value, str) and re.search(r"\S\s+\S", value) for value in (self.before, self.after))


def param_changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """Values that differ between two parsed params files, in the order of the second; an added prompt against the one most like it."""
    old, new = flat(before), flat(after)
    old |= {name: old[like] for name, like in models_of_added(before, after).items() if like in old}
    likes = models_of_added(before, after)
    grouped: dict[tuple[str, str], list[str]] = {}
    for name in [*new, *(name for name in old if name not in new)]:
        if old.get(name) != new.get(name):
            grouped.setdefault((repr(old.get(name)), repr(new.get(name))), []).append(name)
    found = []
    for names in grouped.values():
        alike = [names] if names[0].startswith("prompts.") else [[name] for name in names]
        found += [Change(first, old.get(first), new.get(first), tuple(also), likes.get(first, "")) for first, *also in alike]
    return found


def models_of_added(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """Names of the values of each added prompt -> the same value's name in the prompt it shares most values with.

    >>> models_of_added({"prompts": {"explain": {"a": {"x": "1"}}}}, {"prompts": {"explain": {"a": {"x": "1"}, "b": {"x": "1"}}}})
    {'prompts.explain.b.x': 'prompts.explain.a.x'}
    """
    found = {}
    for kind, prompts in (after.get("prompts") or {}).items():
        known = (before.get("prompts") or {}).get(kind) or {}
        for name in [name for name in prompts if name not in known and known]:
            values = flat(prompts[name])
            nearest = max(known, key=lambda other: sum(flat(known[other]).get(key) == value for key, value in values.items()))
            found.update({f"prompts.{kind}.{name}.{key}": f"prompts.{kind}.{nearest}.{key}" for key in values})
    return found


def words_changed(before: str, after: str) -> str:
    """Both texts as one in HTML, with what was removed in <del> and what was added in <ins>; far from a change it is left out.

    >>> words_changed("Say it in a few words.", "Say it in one word.")
    'Say it in <del>a</del><ins>one</ins> <del>few words.</del><ins>word.</ins>'
    """
    old, new = (re.findall(r"\s+|\S+", text) for text in (before, after))
    parts = []
    steps = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for place, (kind, a, b, c, d) in enumerate(steps):
        removed, added = "".join(old[a:b]), "".join(new[c:d])
        if kind == "equal":
            parts.append(html.escape(shortened(added, place > 0, place < len(steps) - 1), quote=False))
            continue
        parts += [f"<{tag}>{html.escape(text, quote=False)}</{tag}>" for tag, text in (("del", removed), ("ins", added)) if text]
    return "".join(parts)


def shortened(text: str, before: bool, after: bool) -> str:
    """Unchanged text, of which only what is near a change `before` or `after` it is kept."""
    if len(text) <= CONTEXT * (before + after) + 5:
        return text
    head = text[:CONTEXT].rpartition(" ")[0] if before else ""
    tail = text[-CONTEXT:].partition(" ")[2] if after else ""
    return f"{head} … {tail}"


@dataclass(frozen=True)
class StageChange:
    """One stage between two locks."""

    stage: str
    params: tuple[str, ...]
    """Params whose values differ; of a prompt its name."""
    inputs: tuple[str, ...]
    """Dependencies that another stage makes and that differ."""
    code: tuple[str, ...]
    """Other dependencies that differ: code, watched files."""
    outs: bool
    """Whether what it made differs."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it has to give something else, if it does."""
        return self.params + self.inputs + self.code


def stage_changes(before: Lock, after: Lock, order: list[str]) -> list[StageChange]:
    """Every stage of the second lock, in this order."""
    found = []
    for name, stage in sorted(after.stages.items(), key=lambda entry: order.index(entry[0]) if entry[0] in order else len(order)):
        old = before.stages.get(name)
        if old is None:
            found.append(StageChange(name, ("a new stage",), (), (), True))
            continue
        values = [flat(lock.params) for lock in (old, stage)]
        names = [key for key in {**values[1], **values[0]} if values[0].get(key) != values[1].get(key)]
        params = dict.fromkeys(".".join(key.split(".")[:3]) if key.startswith("prompts.") else key for key in names)
        deps = [path for path in {**stage.deps, **old.deps} if stage.deps.get(path) != old.deps.get(path)]
        made = after.outs
        inputs, code = (tuple(path for path in deps if (path in made) == wanted) for wanted in (True, False))
        found.append(StageChange(name, tuple(params), inputs, code, stage.outs != old.outs))
    return found
