"""``undercast tenant``."""

from __future__ import annotations

from typing import Annotated

import typer

from db.queries import tenants
from deploy.cli import database
from deploy.cli.checks import name_argument
from deploy.cli.database import transaction
from deploy.cli.errors import Refused
from deploy.cli.output import Columns, ExistingOption, Format, FormatOption, show_list, show_one

app = typer.Typer(no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="Name or id of the tenant.")]
_COLUMNS: Columns = {
    "id": "id",
    "name": "name",
    "description": "description",
    "enabled": "enabled",
    "users": "users",
    "servers": "servers",
    "created": "created_at",
}


@app.callback()
def tenant() -> None:
    """Tenants, the customers."""


def _digits(text: str | None) -> str | None:
    if text is not None and not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise typer.BadParameter("up to 20 digits")
    return text


@app.command()
def create(
    name: Annotated[str, name_argument("Name of the tenant.")],
    id: Annotated[
        str | None, typer.Option(callback=_digits, help="Id; default: 14 random digits.")
    ] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    if_missing: ExistingOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Make and activate a tenant: in every zone it has the group "default" with seven rules."""
    with transaction() as conn:
        made = tenants.create(conn, name, id=id, description=description)
        found = tenants.find(conn, id if made and id else name)
        if not made and (found is None or found.name != name or not if_missing):
            raise Refused(f"There is a tenant of the name {name} or of that id already.")
        if found is not None and not made:
            tenants.activate(conn, found.id)
    show_one(found, _COLUMNS, format)


@app.command()
def disable(name: NameArgument, format: FormatOption = Format.table) -> None:
    """Let a tenant's users in no longer, nor with the tokens that they have. Servers go on."""
    _set_enabled(name, enabled=False, format=format)


@app.command()
def enable(name: NameArgument, format: FormatOption = Format.table) -> None:
    """Let a tenant's users in again."""
    _set_enabled(name, enabled=True, format=format)


def _set_enabled(name: str, *, enabled: bool, format: Format) -> None:
    with transaction() as conn:
        tenant_id = database.tenant(conn, name).id
        tenants.set_enabled(conn, tenant_id, enabled=enabled)
        record = database.tenant(conn, tenant_id)
    show_one(record, _COLUMNS, format)


@app.command("list")
def list_tenants(format: FormatOption = Format.table) -> None:
    """List the tenants."""
    with transaction() as conn:
        rows = tenants.list_all(conn)
    show_list(rows, _COLUMNS, format)
