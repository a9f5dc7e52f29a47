"""Replies as JSONL, so that a colleague or CI can rerun without a key: a header line with the schema, then a line per reply.

The header says, too, what the models were found to offer, since that decides how they are asked; where they were asked, it does not say.

{"schema": "neurogloss.replies", "version": 2, "offers": {model: {capability: true or false}}}
{"key": sha256 of the request, "model", "status", "reply": {...}, "prompt", "cached_prompt", "completion", "cost_usd", "seconds"}
"""

import json
import logging
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

from neurogloss.artifacts.files import written
from neurogloss.artifacts.status import Status
from neurogloss.errors import UserError
from neurogloss.llm.cache import COLUMNS, Cache, CachedReply, from_row, to_row
from neurogloss.llm.openai.capabilities import IMPORTED, KnownCapabilities
from neurogloss.llm.request import Capability

logger = logging.getLogger(__name__)

SCHEMA, VERSION = "neurogloss.replies", 2
NAMES = COLUMNS.split(", ")
CAPABILITIES = get_args(Capability)
NUMBERS = ("prompt", "cached_prompt", "completion", "cost_usd", "seconds")


class Imported(NamedTuple):
    """What an import did."""

    added: int
    known: int


def export_replies(cache: Cache, path: Path) -> int:
    """Write the replies in the order of the keys; the number of them. They count wherever the models are asked after an import.

    Where a model answered at several places, those of the last one are written, since no file says where an answer is from.
    """
    count, left_out, last = 0, 0, last_places(cache)
    with written(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps({"schema": SCHEMA, "version": VERSION, "offers": offers(cache)}) + "\n")
        for key, kept in cache.rows():
            own, _, place = key.partition("@")
            if place != last[kept.model] and (place or f"{own}@{last[kept.model]}" in cache.find([f"{own}@{last[kept.model]}"])):
                left_out += 1
                continue
            count += 1
            row = dict(zip(NAMES, to_row(kept), strict=True))
            file.write(json.dumps({"key": own, **row, "reply": json.loads(row["reply"])}) + "\n")
    if left_out:
        logger.warning("%s replies were left out: their models answered at another place since", left_out)
    return count


def last_places(cache: Cache) -> dict[str, str]:
    """Where each model, by its name under `models`, answered last; empty for anywhere."""
    rows = cache.run(
        "SELECT model, CASE instr(key, '@') WHEN 0 THEN '' ELSE substr(key, instr(key, '@') + 1) END FROM replies ORDER BY rowid"
    )
    found: dict[str, str] = {}
    for model, place in rows:
        found[model] = place or found.get(model, "")
    return found


def is_export(path: Path) -> bool:
    """Whether a file begins as an export does, of whatever version; a file that cannot be read is taken for one."""
    try:
        with path.open("rb") as file:
            return SCHEMA.encode() in file.readline(200)
    except OSError:
        return True


def import_replies(cache: Cache, path: Path) -> Imported:
    """Add the replies of a file: all of them, or none where a line is wrong. What is known stays."""
    found: dict[tuple[str, str], bool] = {}
    read = list(checked(path, found))
    added = cache.keep_all(read)
    for (model, capability), offered in found.items():
        KnownCapabilities(cache, IMPORTED, model).learn(capability, offered)
    return Imported(added, len(read) - added)


def offers(cache: Cache) -> dict[str, dict[str, bool]]:
    """What is known of each model, by its name at the endpoint; where endpoints differ, what the last one asked said."""
    found: dict[str, dict[str, bool]] = {}
    for model, capability, offered in cache.run("SELECT model, capability, offered FROM endpoints ORDER BY rowid"):
        if capability in CAPABILITIES:
            found.setdefault(model, {})[capability] = bool(offered)
    return {model: dict(sorted(found[model].items())) for model in sorted(found)}


def checked(path: Path, offered: dict[tuple[str, str], bool]) -> Iterator[tuple[str, CachedReply]]:
    """The replies of a file, and in `offered` what its header says; UserError with the line that is none."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    value = json.loads(line)
                    if number == 1:
                        offered.update(read_header(value, path))
                    else:
                        yield reply(value)
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise UserError(f"{path}, line {number}: no reply ({error}); export it again") from error
            if not path.stat().st_size:
                raise UserError(f"{path} is empty; export it again")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8; expected what `neurogloss cache export` writes") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def read_header(value: Any, path: Path) -> dict[tuple[str, str], bool]:
    """What the models offer; UserError unless the first line is the header."""
    if not isinstance(value, dict) or (value.get("schema"), value.get("version")) != (SCHEMA, VERSION):
        raise UserError(f"{path} does not begin with {SCHEMA} version {VERSION}; expected what `neurogloss cache export` writes")
    found = {(model, capability): said for model, by_name in value["offers"].items() for capability, said in by_name.items()}
    if not all(capability in CAPABILITIES and isinstance(said, bool) for (_, capability), said in found.items()):
        raise ValueError("what a model offers is unknown")
    return found


def reply(value: dict[str, Any]) -> tuple[str, CachedReply]:
    """One line; raises KeyError, TypeError or ValueError for what is none."""
    key = value["key"]
    if not (isinstance(key, str) and re.fullmatch("[0-9a-f]{64}", key)):
        raise ValueError(f"key {key!r} is no sha256")
    if set(value) != {"key", *NAMES}:
        raise ValueError(f"fields {sorted(set(value) ^ {'key', *NAMES})} missing or unknown")
    numbers = [value[name] for name in NUMBERS]
    if not all(isinstance(number, int | float) and math.isfinite(number) and number >= 0 for number in numbers):
        raise ValueError(f"{', '.join(NUMBERS)} must be numbers from 0, got {numbers}")
    if not isinstance(value["model"], str) or value["status"] not in list(Status):
        raise ValueError(f"status {value['status']!r} is unknown")
    kept = from_row([json.dumps(value[name]) if name == "reply" else value[name] for name in NAMES])
    texts = [kept.answer.text, *(token.token for token in getattr(kept.answer, "tokens", ()))]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a text is none")
    return key, kept
