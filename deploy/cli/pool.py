"""``undercast pool`` (R217)."""

from __future__ import annotations

from typing import Annotated

import typer

from db.queries import pools
from deploy.cli import database, ranges
from deploy.cli.checks import name_argument
from deploy.cli.database import ZoneOption
from deploy.cli.errors import Refused
from deploy.cli.output import Columns, ExistingOption, Format, FormatOption, show_list, show_one

app = typer.Typer(no_args_is_help=True)
_COLUMNS: Columns = {
    "id": "id",
    "name": "name",
    "zone": "zone",
    "addresses": lambda row: f"{row.first}-{row.last}" if row.first else None,
    "count": "addresses",
    "free": "free",
    "automatic": "automatic",
    "floating": "floating",
}


@app.callback()
def pool() -> None:
    """Pools of public addresses."""


@app.command()
def create(
    name: Annotated[str, name_argument("Name of the pool.")],
    range: Annotated[str, typer.Option(help="15.185.16.1-15.185.16.99 or 15.185.16.0/20.")],
    zone: ZoneOption = None,
    if_missing: ExistingOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Make a pool. Of a network its first and last address are left out."""
    try:
        addresses = ranges.public(range)
    except ranges.RangeError as error:
        raise typer.BadParameter(str(error), param_hint="--range") from error
    try:
        with database.transaction() as conn:
            place = database.zone(conn, zone)
            made = pools.create(
                conn, zone_id=place.id, name=name, first=str(addresses.first),
                count=addresses.count,
            )  # fmt: skip
            found = pools.find(conn, place.id, name)
    except pools.AddressesInUse as error:
        raise Refused(f"{error}.") from error
    if not made and not if_missing:
        raise Refused(f"Zone {place.name} has a pool {name} already.")
    show_one(found, _COLUMNS, format)


@app.command("list")
def list_pools(format: FormatOption = Format.table) -> None:
    """List the pools: free addresses, servers' automatic ones, tenants' floating ones."""
    with database.transaction() as conn:
        rows = pools.list_all(conn)
    show_list(rows, _COLUMNS, format)
