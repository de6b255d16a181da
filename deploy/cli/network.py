"""``undercast network`` (R15, R216)."""

from __future__ import annotations

from typing import Annotated

import typer

from db.queries import networks
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
    "CIDR": "cidr",
    "gateway": "gateway",
    "gateway MAC": "gateway_mac",
    "DNS": "dns",
    "addresses": lambda row: f"{row.first}-{row.last}" if row.first else None,
    "used": lambda row: f"{row.used} of {row.addresses}",
}


@app.callback()
def network() -> None:
    """The network of a zone and its fixed addresses."""


@app.command()
def create(
    name: Annotated[str, name_argument("Name; clients see addresses under it.")],
    *,
    cidr: Annotated[str, typer.Option(help="Such as 10.0.0.0/16.")],
    gateway: Annotated[str, typer.Option(help="Address of the gateway, the same on every host.")],
    first: Annotated[
        str | None, typer.Option(help="First address for guests; default: after the gateway.")
    ] = None,
    last: Annotated[
        str | None, typer.Option(help="Last address for guests; default: the highest.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, max=ranges.MOST, help="How many, instead of --last.")
    ] = None,
    dns: Annotated[str | None, typer.Option(help="DNS server for guests; default: none.")] = None,
    zone: ZoneOption = None,
    if_missing: ExistingOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Make the network of a zone with its fixed addresses. A zone has one."""
    try:
        inside, router = ranges.network(cidr), ranges.address(gateway)
        addresses = ranges.fixed(
            inside,
            router,
            first=None if first is None else ranges.address(first),
            last=None if last is None else ranges.address(last),
            count=count,
        )
        resolver = "" if dns is None else str(ranges.address(dns))
    except ranges.RangeError as error:
        raise typer.BadParameter(str(error)) from error
    with database.transaction() as conn:
        place = database.zone(conn, zone)
        made = networks.create(
            conn, zone_id=place.id, name=name, cidr=str(inside), gateway=str(router),
            first=str(addresses.first), count=addresses.count, dns=resolver,
        )  # fmt: skip
        found = networks.of_zone(conn, place.id)
    if not made and (found is None or found.name != name or not if_missing):
        raise Refused(f"Zone {place.name} has its network already, and a zone has one.")
    show_one(found, _COLUMNS, format)


@app.command("list")
def list_networks(format: FormatOption = Format.table) -> None:
    """List the networks and how many of their addresses are used."""
    with database.transaction() as conn:
        rows = networks.list_all(conn)
    show_list(rows, _COLUMNS, format)
