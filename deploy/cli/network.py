"""``undercast network`` (R15, R216)."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated

import typer
from sqlalchemy import Connection

from db.queries import address_ranges, networks
from db.queries.address_ranges import FIXED, Range
from db.queries.networks import NetworkSummary
from db.settings import settings
from deploy.cli import addresses, database, ranges
from deploy.cli.addresses import CoveredOption, RangesOption
from deploy.cli.checks import name_argument
from deploy.cli.database import ZoneOption
from deploy.cli.errors import NotFound, Refused
from deploy.cli.output import Columns, ExistingOption, Format, FormatOption, show_list, show_one

app = typer.Typer(no_args_is_help=True)
_NAMES: Columns = {
    "id": "id",
    "name": "name",
    "zone": "zone",
    "CIDR": "cidr",
    "gateway": "gateway",
    "gateway MAC": "gateway_mac",
    "DNS": "dns",
}
_COLUMNS = addresses.listed(_NAMES, {})
_DETAILS = addresses.detailed(_NAMES, {})
NetworkArgument = Annotated[str, typer.Argument(help="Name of the network.")]


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
    range: RangesOption = [],  # noqa: B006 - typer copies it
    dns: Annotated[str | None, typer.Option(help="DNS server for guests; default: none.")] = None,
    zone: ZoneOption = None,
    if_missing: ExistingOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Make the network of a zone with its fixed addresses. A zone has one.

    Guests get the addresses from --first to --last, or those of --range. No public pool may have
    an address within it.
    """
    if range and (first, last, count) != (None, None, None):
        raise typer.BadParameter("give --range, or --first with --last or --count, not both")
    try:
        inside = ranges.guests(ranges.network(cidr))
        router = ranges.router(inside, gateway)
        resolver = "" if dns is None else str(ranges.address(dns))
        spans = _parsed(inside, range) or [
            ranges.fixed(
                inside,
                router,
                first=None if first is None else ranges.address(first),
                last=None if last is None else ranges.address(last),
                count=count,
            )
        ]
    except ranges.RangeError as error:
        raise typer.BadParameter(str(error)) from error
    try:
        with database.transaction() as conn:
            place = database.zone(conn, zone)
            made = networks.create(
                conn, zone_id=place.id, name=name, cidr=str(inside), gateway=str(router),
                ranges=spans, dns=resolver,
            )  # fmt: skip
            found = _of_zone(conn, place.id)
    except networks.Overlaps as error:
        raise Refused(f"{error}. Nothing was changed.") from error
    if not made and (found is None or found.name != name or not if_missing):
        raise Refused(f"Zone {place.name} has its network already, and a zone has one.")
    show_one(found, _DETAILS, format)


@app.command()
def add(
    name: NetworkArgument,
    range: RangesOption,
    zone: ZoneOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Give a network more fixed addresses within its CIDR.

    Those that it has already stay as they are, and its gateway is left out.
    """
    with database.transaction() as conn:
        before = _find(conn, name, zone)
        spans = _parsed(IPv4Network(before.cidr), range)
        added = sum(networks.add(conn, before, span) for span in spans)
        found = _find(conn, name, zone)
    addresses.show_added(found, _DETAILS, (added, sum(span.count for span in spans)), format)


@app.command()
def remove(
    name: NetworkArgument,
    range: CoveredOption,
    zone: ZoneOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Take addresses off a network, all that it has of the ranges, when no server holds any.

    Those that rest after their release go too; if added again, they are free at once.
    """
    spans = addresses.parsed(range, ranges.covered)
    removed = 0
    with database.transaction() as conn:
        network_id = _find(conn, name, zone).id
        for span in spans:
            with addresses.unheld(str(span)):
                removed += address_ranges.remove(conn, FIXED, network_id, span)
        found = _find(conn, name, zone)
    addresses.show_removed(found, _DETAILS, removed, format)


@app.command()
def delete(
    name: NetworkArgument, zone: ZoneOption = None, format: FormatOption = Format.table
) -> None:
    """Delete a network of which no server holds an address."""
    with database.transaction() as conn:
        found = _find(conn, name, zone)
        with addresses.unheld(f"network {name}"):
            address_ranges.delete(conn, FIXED, found.id)
    show_one(found, _DETAILS, format)


@app.command("list")
def list_networks(format: FormatOption = Format.table) -> None:
    """List the networks: addresses that are free, rest after their release, or are used."""
    with database.transaction() as conn:
        rows = networks.list_all(conn, quarantine=settings().address_quarantine_seconds)
    show_list(rows, _COLUMNS, format)


@app.command()
def show(
    name: NetworkArgument, zone: ZoneOption = None, format: FormatOption = Format.table
) -> None:
    """Show a network with all its ranges."""
    with database.transaction() as conn:
        found = _find(conn, name, zone)
    show_one(found, _DETAILS, format)


def _parsed(cidr: IPv4Network, texts: list[str]) -> list[Range]:
    return addresses.parsed(texts, lambda text: ranges.inside(cidr, text))


def _of_zone(conn: Connection, zone_id: int) -> NetworkSummary | None:
    return networks.of_zone(conn, zone_id, quarantine=settings().address_quarantine_seconds)


def _find(conn: Connection, name: str, zone: str | None) -> NetworkSummary:
    place = database.zone(conn, zone)
    found = _of_zone(conn, place.id)
    if found is None or found.name != name:
        raise NotFound(
            f"There is no network {name} in zone {place.name}; see `undercast network list`."
        )
    return found
