"""``undercast operation``."""

from __future__ import annotations

from typing import Annotated

import typer

from db.queries import operations
from db.queries.operations import OperationSummary
from db.settings import settings
from deploy.cli import database
from deploy.cli.errors import NotFound
from deploy.cli.output import (
    Columns,
    Format,
    FormatOption,
    duration,
    plain,
    say,
    show_list,
    show_one,
)
from deploy.cli.story import STORY, told

app = typer.Typer(no_args_is_help=True)


def _state(operation: OperationSummary) -> str:
    return f"{operation.state}, stuck: {operation.stuck}" if operation.stuck else operation.state


def _subject(operation: OperationSummary) -> str:
    name = f" ({operation.subject_name})" if operation.subject_name else ""
    return f"{operation.subject_kind} {operation.subject_id}{name}"


_COLUMNS: Columns = {
    "id": "id",
    "subject": _subject,
    "kind": "kind",
    "step": "step",
    "target": "target",
    "state": _state,
    "attempt": "attempt",
    "took": lambda operation: duration(operation.seconds),
    "created": "created_at",
    "error": "error",
}
_DETAILS: Columns = {
    **_COLUMNS,
    "request": "request_id",
    "tenant": "tenant_id",
    "zone": "zone",
    "lease owner": "lease_owner",
    "lease until": "lease_until",
    "runs after": "run_after",
    "deadline": "deadline",
    "cancel requested": "cancel_requested_at",
    "finished": "finished_at",
}


@app.callback()
def operation() -> None:
    """What is under way, what went wrong, what is stuck."""


def grace() -> float:
    """Seconds in which lease and sweep bring an operation back by themselves."""
    return settings().lease_seconds + settings().sweep_seconds


@app.command("list")
def list_operations(
    live: Annotated[bool, typer.Option("--live", help="Only what is not finished.")] = False,
    stuck: Annotated[
        bool,
        typer.Option("--stuck", help="Only what should have moved on by itself and did not."),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    format: FormatOption = Format.table,
) -> None:
    """List operations, newest first."""
    with database.transaction() as conn:
        rows = operations.list_all(conn, grace=grace(), live=live, stuck=stuck, limit=limit)
    show_list(rows, _COLUMNS, format)


@app.command()
def show(
    operation: Annotated[int, typer.Argument(help="Id of the operation.")],
    format: FormatOption = Format.table,
) -> None:
    """Show an operation and what happened in it."""
    with database.transaction() as conn:
        found = operations.find(conn, operation, grace=grace())
        events = operations.events(conn, operation)
    if found is None:
        raise NotFound(f"There is no operation {operation}.")
    lines = told(events)
    record = {**plain(found), "events": plain(lines)} if format is Format.json else found
    show_one(record, _DETAILS, format)
    if format is Format.table:
        say("")
        show_list(lines, STORY, format)
