"""``undercast quota`` (R57-R65)."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Connection

from db import quota as quotas
from deploy.cli import database
from deploy.cli.database import ZoneOption
from deploy.cli.output import Columns, Format, FormatOption, show_list

app = typer.Typer(no_args_is_help=True)
UNLIMITED = "unlimited"
MOST = 2**53  # what JSON's readers keep exactly
_COLUMNS: Columns = {
    "resource": "resource",
    "limit": lambda row: UNLIMITED if row["limit"] < 0 else row["limit"],
    "used": "used",
    "own": "own",
}
TenantArgument = Annotated[str, typer.Argument(help="Name or id of the tenant.")]


@app.callback()
def quota() -> None:
    """Limits of a tenant in a zone."""


@app.command()
def show(
    tenant: TenantArgument, zone: ZoneOption = None, format: FormatOption = Format.table
) -> None:
    """Show the limits of a tenant in a zone, what is used, and which limits are its own."""
    with database.transaction() as conn:
        rows = _rows(conn, database.tenant(conn, tenant).id, database.zone(conn, zone).id)
    show_list(rows, _COLUMNS, format)


@app.command("set")
def set_limits(
    tenant: TenantArgument,
    limits: Annotated[
        list[str],
        typer.Argument(
            metavar="RESOURCE=LIMIT...",
            help=f"Such as cores=40 or ram={UNLIMITED}, which is -1."
            f" Resources: {', '.join(quotas.DEFAULTS)}.",
        ),
    ],
    zone: ZoneOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Set limits of a tenant in a zone."""
    wanted = dict(parsed(text) for text in limits)
    with database.transaction() as conn:
        tenant_id, zone_id = database.tenant(conn, tenant).id, database.zone(conn, zone).id
        for resource, limit in wanted.items():
            quotas.set_limit(conn, tenant_id, zone_id, resource, limit)
        rows = _rows(conn, tenant_id, zone_id)
    show_list(rows, _COLUMNS, format)


def parsed(text: str) -> tuple[str, int]:
    """Resource and limit of "cores=40"; -1 is unlimited. Raises typer.BadParameter."""
    resource, _, value = text.partition("=")
    if resource not in quotas.DEFAULTS:
        raise typer.BadParameter(
            f"{resource!r} is not one of {', '.join(quotas.DEFAULTS)}", param_hint="RESOURCE=LIMIT"
        )
    if value in (UNLIMITED, "-1"):
        return resource, -1
    if not (value.isascii() and value.isdigit()) or int(value) > MOST:
        raise typer.BadParameter(
            f"the limit of {resource} is a number or {UNLIMITED}", param_hint="RESOURCE=LIMIT"
        )
    return resource, int(value)


def _rows(conn: Connection, tenant_id: str, zone_id: int) -> list[dict[str, object]]:
    limits = quotas.limits(conn, tenant_id, zone_id)
    used = quotas.used(conn, tenant_id, zone_id)
    return [
        {
            "resource": name,
            "limit": limit,
            "used": used.get(name),
            "own": limit != quotas.DEFAULTS[name],
        }
        for name, limit in limits.items()
    ]
