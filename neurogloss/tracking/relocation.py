"""Keeping a store whole where its folder was copied, moved or unpacked: MLflow stores absolute addresses of files."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlparse

ADDRESSES = (("runs", "artifact_uri"), ("logged_models", "artifact_location"), ("trace_tags", "value"))
"""Table and column of every address below the experiment's."""
BUSY_S = 5.0
"""How long to wait for somebody else's write to the database."""


def follows_database(location: str) -> bool:
    """Whether an experiment's files are meant to be beside the database; a place that somebody else chose is left alone."""
    return location.startswith("file:///") and location.endswith("/artifacts")


def relocate(database: Path, old: str, new: str) -> None:
    """Make `new` the place of the experiment's files, and of each run's whose files are there; the others keep their address.

    This is the only SQL on MLflow's tables. Neither its client nor its command line can change the address of a run's files; copying runs
    into a new experiment gives them other ids, and leaves their traces and models behind.
    """
    if old == new:
        return
    with closing(sqlite3.connect(database, timeout=BUSY_S)) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", (new, old))
        for table, column in ADDRESSES:
            found = connection.execute(f"SELECT DISTINCT {column} FROM {table} WHERE instr({column}, ?) = 1", (f"{old}/",)).fetchall()
            moved = [(new + address.removeprefix(old), address) for (address,) in found]
            came_along = [pair for pair in moved if (folder := local_folder(pair[0])) and folder.exists()]
            connection.executemany(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", came_along)


def local_folder(uri: str) -> Path | None:
    """The folder of a file URI; None for any other."""
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme in ("file", "") else None
