"""``undercast server``."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Connection

from db.models.servers import VM_STATES
from db.queries import operations, servers_admin
from db.queries.servers_admin import ServerSummary
from deploy.cli import database, story
from deploy.cli.errors import NotFound, Refused
from deploy.cli.output import Columns, Format, FormatOption, say, show_list, show_one

app = typer.Typer(no_args_is_help=True)
ServerArgument = Annotated[
    str, typer.Argument(metavar="SERVER", help="Integer id or UUID, or the name of a live one.")
]
_COLUMNS: Columns = {
    "id": "id",
    "name": "name",
    "tenant": "tenant",
    "zone": "zone",
    "status": "status",
    "host": "host",
    "fixed": "fixed",
    "public": "public",
    "flavor": "flavor",
    "created": "created_at",
}
_DETAILS: Columns = {
    "id": "id",
    "uuid": "uuid",
    "name": "name",
    "tenant": lambda server: f"{server.tenant} ({server.tenant_id})",
    "zone": "zone",
    "status": "status",
    "fault": "fault_message",
    "power": "power_state",
    "host": "host",
    "fixed": "fixed",
    "public": "public",
    "flavor": lambda server: (
        f"{server.flavor}: {server.vcpus} vcpus, {server.ram_mb} MB memory,"
        f" {server.disk_gb} GB ephemeral disk"
    ),
    "image": lambda server: f"{server.image} ({server.image_id})",
    "key": "key_name",
    "generation": "generation",
    "created": "created_at",
    "updated": "updated_at",
    "launched": "launched_at",
    "deleted": "deleted_at",
}


@app.callback()
def server() -> None:
    """Servers of all tenants: where they are, what happened to them, and why."""


@app.command("list")
def list_servers(
    tenant: Annotated[str | None, typer.Option(help="Of this tenant, by name or id.")] = None,
    host: Annotated[str | None, typer.Option(help="On this host.")] = None,
    status: Annotated[
        str | None, typer.Option(help="In this state: ERROR, BUILD(spawning), DELETED.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 1000,
    format: FormatOption = Format.table,
) -> None:
    """List live servers, newest first."""
    if status is not None and status.partition("(")[0].upper() not in VM_STATES:
        known = ", ".join(VM_STATES)
        raise typer.BadParameter(f"{status!r} is none of {known}", param_hint="--status")
    with database.transaction() as conn:
        tenant_id = None if tenant is None else database.tenant(conn, tenant).id
        rows = servers_admin.list_all(
            conn, tenant_id=tenant_id, host=host, status=status, limit=limit
        )
    show_list(rows, _COLUMNS, format)


@app.command()
def show(server: ServerArgument, format: FormatOption = Format.table) -> None:
    """Show a server, also a deleted one."""
    with database.transaction() as conn:
        found = _find(conn, server)
    show_one(found, _DETAILS, format)


@app.command()
def timeline(server: ServerArgument, format: FormatOption = Format.table) -> None:
    """Tell what happened to a server in all its operations, with times and request ids."""
    with database.transaction() as conn:
        found = _find(conn, server)
        events = operations.timeline(conn, "server", found.id)
    say(f"Server {found.id} {found.name}: {found.status}\n", format)
    show_list(story.told(events), story.STORY, format)


@app.command()
def why(server: ServerArgument, format: FormatOption = Format.table) -> None:
    """Explain why a server is where it is, or why no host took it."""
    with database.transaction() as conn:
        found = _find(conn, server)
        events = operations.timeline(conn, "server", found.id)
    answer = story.why(found, events)
    say(f"Server {found.id} {found.name}: {found.status}", format)
    for sentence in answer.sentences:
        say(f"  {sentence}", format)
    if answer.request_id:
        say(f"  Request {answer.request_id}; see `undercast server timeline {found.id}`.", format)
    if format is Format.json:
        show_one(answer, {}, format)


def _find(conn: Connection, key: str) -> ServerSummary:
    found = servers_admin.find(conn, key)
    if not found:
        raise NotFound(f"There is no server {key}.")
    if len(found) > 1:
        ids = ", ".join(str(one.id) for one in found)
        raise Refused(f"Several servers are named {key}; say which by its id: {ids}.")
    return found[0]
