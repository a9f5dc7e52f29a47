"""Where a reply was given is part of the key under which it is kept, so that another server behind the same name answers for itself.

`models.*.revision`, where it is stated, says what answers, wherever that is; else the address does. A reply without a place counts
everywhere: one that was imported, or kept before replies had places.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator

from neurogloss.config.models import ModelParams
from neurogloss.errors import UserError
from neurogloss.llm.cache import CHUNK, Cache, CachedReply
from neurogloss.llm.openai.endpoint import endpoint

TABLE = (
    "CREATE TABLE IF NOT EXISTS places (model TEXT NOT NULL, variable TEXT NOT NULL, base_url TEXT NOT NULL, PRIMARY KEY (model, variable))"
)


def place_of(cache: Cache, model: ModelParams) -> str:
    """What follows a request's key; empty where what answers is the same everywhere.

    Where nothing says the address, or no key allows to ask there, it is the one that was asked last: who has the replies needs no endpoint.
    """
    if model.revision or not (model.provider == "openai" or (model.remote and model.base_url_from)):
        return ""
    said = bool(os.environ.get(variable_of(model), "").strip())
    try:
        address = endpoint(model, need_key=not said).shown
    except UserError:
        address = last_address(cache, model)
    return suffix(address) if address else ""


def suffix(address: str) -> str:
    """A place as it is kept: it does not say the address, so that an export does not, either."""
    return f"@{hashlib.sha256(address.encode()).hexdigest()[:16]}"


def variable_of(model: ModelParams) -> str:
    """The variable that holds the address."""
    return model.base_url_from or "OPENAI_BASE_URL"


def last_address(cache: Cache, model: ModelParams) -> str:
    """Where the model was asked last; empty where it never was."""
    cache.change(TABLE)
    rows = cache.run("SELECT base_url FROM places WHERE model = ? AND variable = ?", (model.name, variable_of(model)))
    return str(rows[0][0]) if rows else ""


def note_address(cache: Cache, model: ModelParams, address: str) -> None:
    """Remember where the model is asked now."""
    cache.change(TABLE)
    cache.change("INSERT OR REPLACE INTO places VALUES (?,?,?)", (model.name, variable_of(model), address))


def kept_at(cache: Cache, keys: Iterable[str], place: str) -> Iterator[tuple[str, CachedReply, bool]]:
    """The kept answers among these keys, and whether they were given there; what was given anywhere counts where there is no other."""
    wanted = list(dict.fromkeys(keys))
    here = set()
    for key, kept in cache.each(f"{key}{place}" for key in wanted):
        own = key.removesuffix(place)
        here.add(own)
        yield own, kept, True
    if place:
        for key, kept in cache.each(key for key in wanted if key not in here):
            yield key, kept, False


def given_elsewhere(cache: Cache, keys: Iterable[str], place: str) -> int:
    """How many of these questions, none of which was answered here, were answered at another place."""
    wanted, found = list(keys) if place else [], 0
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        between = " OR ".join(["key BETWEEN ? AND ?"] * len(chunk))
        bounds = [bound for key in chunk for bound in (f"{key}@", f"{key}@~")]
        found += len({str(key).partition("@")[0] for (key,) in cache.run(f"SELECT key FROM replies WHERE {between}", bounds)})
    return found
