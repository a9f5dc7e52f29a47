"""Faults of a store as one line that says what to do."""

import re
from types import TracebackType
from typing import TYPE_CHECKING, Any

from neurogloss.errors import UserError

if TYPE_CHECKING:
    from neurogloss.tracking.store import Store


class FriendlyErrors:
    """Turn a fault of the store into a UserError of one line; a wrong call of ours keeps its traceback.

    Not an except clause: what mlflow raises can be named only after its slow import.
    """

    def __init__(self, store: "Store", opening: bool = False) -> None:
        self.store = store
        self.opening = opening
        """Only the store's address has been passed so far, so any error of mlflow is about that."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception) and (foreign(error) or (self.opening and of_the_address(error))):
            raise UserError(f"{self.store.shown}: {masked(one_line(error))}; {cure(str(error))}") from error


def foreign(error: Exception) -> bool:
    """Whether mlflow, its database layer or its connection raised this, and not over a value we passed."""
    if type(error).__module__.split(".")[0] in {"sqlite3", "sqlalchemy", "requests", "urllib3", "alembic"}:
        return True
    code: Any = getattr(error, "error_code", None)
    return type(error).__module__.startswith("mlflow.") and code not in {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}


def of_the_address(error: Exception) -> bool:
    """Whether mlflow cannot use such an address, or lacks the driver of the database that it names."""
    return type(error).__module__.startswith("mlflow.") or (isinstance(error, ModuleNotFoundError) and error.name not in ("mlflow", None))


def masked(text: str) -> str:
    """Without the name and password of an address.

    >>> masked("cannot reach postgresql://me:secret@host/db")
    'cannot reach postgresql://***@host/db'
    >>> masked("http://me:p@ss@host/db")
    'http://***@host/db'
    """
    return re.sub(r"://[^/\s]+@", "://***@", text)


def one_line(error: Exception) -> str:
    """The first sentence or so of a message."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 240 else text[:240] + "…"


def cure(message: str) -> str:
    """What to do about it."""
    if "No module named" in message:
        return "install the driver of that database beside MLflow, or set another MLFLOW_TRACKING_URI"
    if "filesystem tracking backend" in message or "unsupported URI" in message:
        return "set MLFLOW_TRACKING_URI to sqlite:///FILE or to http://HOST:PORT of a server"
    if "locked" in message:
        return "end the program that writes to it and run again"
    if "readonly" in message or "read-only" in message or "unable to open" in message:
        return "make it writable or set MLFLOW_TRACKING_URI"
    if "schema" in message or "revision" in message:
        return "run `mlflow db upgrade` with this URI, or use the version of MLflow that made it"
    if "not a database" in message or "malformed" in message:
        return "move it away and run `neurogloss sync` to create it again"
    return "check MLFLOW_TRACKING_URI and the server; `neurogloss sync` creates missing runs later"
