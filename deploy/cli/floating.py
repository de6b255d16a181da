"""``undercast floating`` (R223-R229; wire-notes 7.1)."""

from __future__ import annotations

from typing import Annotated

import typer

from db.queries import pools
from deploy.cli import database
from deploy.cli.output import Columns, Format, FormatOption, show_list

app = typer.Typer(no_args_is_help=True)
_COLUMNS: Columns = {
    "id": "id",
    "project": "project",
    "tenant": "tenant",
    "address": "address",
    "instance": "instance",
    "host": "host",
    "pool": "pool",
    "zone": "zone",
}


@app.callback()
def floating() -> None:
    """Floating addresses: which tenant holds them, and where they lead."""


@app.command("list")
def list_floating(
    tenant: Annotated[str | None, typer.Option(help="Of this tenant, by name or id.")] = None,
    host: Annotated[str | None, typer.Option(help="That lead to this host.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """List the addresses that tenants hold; an instance is a server's UUID."""
    with database.transaction() as conn:
        tenant_id = None if tenant is None else database.tenant(conn, tenant).id
        rows = pools.list_floating(conn, tenant_id=tenant_id, host=host)
    show_list(rows, _COLUMNS, format)
