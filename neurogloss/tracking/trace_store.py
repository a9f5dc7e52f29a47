"""Writing traces into MLflow's store, and deleting them with their run."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Span, TraceInfo
    from mlflow.entities.model_registry import PromptVersion

AT_ONCE = 100
"""Traces that MLflow links or deletes in one call."""


def write_traces(
    client: "MlflowClient",
    experiment: str,
    run_id: str,
    traces: "list[tuple[TraceInfo, list[Span]]]",
    versions: "Sequence[PromptVersion]",
) -> None:
    """Write traces and link them to the run and to the prompts; their spans in one call, since each call is a transaction of its own."""
    from mlflow.tracing.client import TracingClient

    tracing = TracingClient()
    ids = [info.trace_id for info, _ in traces]
    with unsynchronised():
        for info, _ in traces:
            tracing.start_trace(info)
        tracing.log_spans(experiment, [span for _, spans in traces for span in spans])
        for chunk in chunks(ids):
            client.link_traces_to_run(chunk, run_id)
        for trace_id in ids if versions else ():
            client.link_prompt_versions_to_trace(list(versions), trace_id)


@contextmanager
def unsynchronised() -> Iterator[None]:
    """Let an SQLite store commit without waiting for the disk: MLflow takes two transactions a trace, and waiting is two thirds of that.

    The next commit outside, at the latest that of the tag which makes the run count, waits for all.
    """
    from sqlalchemy import event
    from sqlalchemy.pool import Pool

    listeners = [("checkout", relax), ("checkin", restore)]
    for name, listener in listeners:
        event.listen(Pool, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners:
            event.remove(Pool, name, listener)


def relax(connection: Any, *_: Any) -> None:
    """Commits of this connection do not wait."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


def restore(connection: Any, *_: Any) -> None:
    """They do again."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=FULL")


def delete_run(client: "MlflowClient", experiment: str, run_id: str) -> None:
    """Delete a run with its traces."""
    ids: list[str] = []
    token = None
    where = f"metadata.`mlflow.sourceRun` = '{run_id}'"
    while True:
        page = client.search_traces(locations=[experiment], filter_string=where, include_spans=False, page_token=token)
        ids += [found.info.trace_id for found in page]
        token = page.token
        if not token:
            break
    for chunk in chunks(ids):
        client.delete_traces(experiment, trace_ids=chunk)
    client.delete_run(run_id)


def chunks(ids: list[str]) -> Iterator[list[str]]:
    """So many that one call takes them."""
    for start in range(0, len(ids), AT_ONCE):
        yield ids[start : start + AT_ONCE]
