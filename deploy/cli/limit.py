"""``undercast limit`` (R66-R69)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from sqlalchemy import Connection

from db.queries import rate_limits
from db.rates import MOST, UNLIMITED
from db.settings import settings
from deploy.cli import database
from deploy.cli.database import ZoneOption
from deploy.cli.output import Columns, Format, FormatOption, show_list

app = typer.Typer(no_args_is_help=True)
UNLIMITED_WORD = "unlimited"
_COLUMNS: Columns = {
    "name": "name",
    "requests": lambda row: f"{row['verb']} of lists" if row["lists_only"] else row["verb"],
    "to": "uri",
    "limit": lambda row: _words(row["value"], row["unit"]),
    "own": "own",
}
TenantArgument = Annotated[str, typer.Argument(help="Name or id of the tenant.")]
NameArgument = Annotated[
    str | None, typer.Argument(help="Name of the rate, as `limit show` lists it; default: all.")
]


@app.callback()
def limit() -> None:
    """How often a tenant may ask in a zone. Changes act on the next request."""


@app.command()
def show(
    tenant: TenantArgument, zone: ZoneOption = None, format: FormatOption = Format.table
) -> None:
    """Show the rate limits of a tenant in a zone, and which of them are its own."""
    with database.transaction() as conn:
        rows = _rows(conn, *_place(conn, tenant, zone))
    show_list(rows, _COLUMNS, format)


@app.command("set")
def set_limit(
    tenant: TenantArgument,
    name: Annotated[str, typer.Argument(help="Name of the rate, as `limit show` lists it.")],
    value: Annotated[
        str, typer.Argument(help=f"Requests per unit of the rate, or {UNLIMITED_WORD}.")
    ],
    zone: ZoneOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Give a tenant a rate limit of its own in a zone."""
    _set(tenant, _known(name), parsed(value), zone, format)


@app.command()
def off(
    tenant: TenantArgument,
    name: NameArgument = None,
    zone: ZoneOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Let a tenant ask as often as it likes in a zone."""
    _set(tenant, _known(name), UNLIMITED, zone, format)


@app.command()
def reset(
    tenant: TenantArgument,
    name: NameArgument = None,
    zone: ZoneOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Give a tenant the settings' rate limits again."""
    _known(name)
    with database.transaction() as conn:
        place = _place(conn, tenant, zone)
        rate_limits.reset(conn, *place, name)
        rows = _rows(conn, *place)
    show_list(rows, _COLUMNS, format)


def parsed(value: str) -> int:
    """Requests per unit; -1 is unlimited. Raises typer.BadParameter."""
    if value in (UNLIMITED_WORD, "-1"):
        return UNLIMITED
    if not (value.isascii() and value.isdigit() and len(value) < 10 and 0 < int(value) <= MOST):
        raise typer.BadParameter(
            f"a number from 1 to {MOST}, or {UNLIMITED_WORD}", param_hint="VALUE"
        )
    return int(value)


def _known(name: str | None) -> list[str]:
    """The rates that a name means, all for None. Raises typer.BadParameter."""
    names = [rate.name for rate in settings().rates]
    if name is None:
        return names
    if name not in names:
        known = f"not one of {', '.join(names)}" if names else "none: the settings have no rates"
        raise typer.BadParameter(f"{name!r} is {known}", param_hint="NAME")
    return [name]


def _set(tenant: str, names: Iterable[str], value: int, zone: str | None, format: Format) -> None:
    with database.transaction() as conn:
        place = _place(conn, tenant, zone)
        for name in names:
            rate_limits.set_value(conn, *place, name, value)
        rows = _rows(conn, *place)
    show_list(rows, _COLUMNS, format)


def _place(conn: Connection, tenant: str, zone: str | None) -> tuple[str, int]:
    """Ids of tenant and zone. Raises NotFound."""
    return database.tenant(conn, tenant).id, database.zone(conn, zone).id


def _rows(conn: Connection, tenant_id: str, zone_id: int) -> list[dict[str, object]]:
    """The rates of the settings, with the tenant's values."""
    own = rate_limits.own(conn, tenant_id, zone_id)
    return [
        {**rate.model_dump(), "value": own.get(rate.name, rate.value), "own": rate.name in own}
        for rate in settings().rates
    ]


def _words(value: int, unit: str) -> str:
    return UNLIMITED_WORD if value == UNLIMITED else f"{value} a {unit.lower()}"
