"""``undercast pool`` (R217)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from sqlalchemy import Connection

from db.queries import address_ranges, pools
from db.queries.address_ranges import PUBLIC
from db.queries.pools import PoolSummary
from db.settings import settings
from deploy.cli import addresses, database, ranges
from deploy.cli.addresses import CoveredOption, RangesOption
from deploy.cli.checks import name_argument
from deploy.cli.database import ZoneOption
from deploy.cli.errors import NotFound, Refused
from deploy.cli.output import Columns, ExistingOption, Format, FormatOption, show_list, show_one

app = typer.Typer(no_args_is_help=True)
_NAMES: Columns = {"id": "id", "name": "name", "zone": "zone"}
_STATES: Columns = {"automatic": "automatic", "floating": "floating"}
_COLUMNS = addresses.listed(_NAMES, _STATES)
_DETAILS = addresses.detailed(_NAMES, _STATES)
PoolArgument = Annotated[str, typer.Argument(help="Name of the pool.")]


@app.callback()
def pool() -> None:
    """Pools of public addresses: servers' automatic ones and tenants' floating ones."""


@app.command()
def create(
    name: Annotated[str, name_argument("Name of the pool.")],
    range: RangesOption,
    zone: ZoneOption = None,
    if_missing: ExistingOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Make a pool. Its addresses are in no other pool, of any zone, and in no network."""
    spans = addresses.parsed(range, ranges.public)
    with _apart(), database.transaction() as conn:
        place = database.zone(conn, zone)
        made = pools.create(conn, zone_id=place.id, name=name, ranges=spans)
        found = _find(conn, name, zone)
    if not made and not if_missing:
        raise Refused(
            f"Zone {place.name} has a pool {name} already; `undercast pool add` gives it more."
        )
    show_one(found, _DETAILS, format)


@app.command()
def add(
    name: PoolArgument,
    range: RangesOption,
    zone: ZoneOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Give a pool more addresses. Those that it has already stay as they are."""
    spans = addresses.parsed(range, ranges.public)
    with _apart(), database.transaction() as conn:
        pool_id = _find(conn, name, zone).id
        added = sum(pools.add(conn, pool_id, span) for span in spans)
        found = _find(conn, name, zone)
    addresses.show_added(found, _DETAILS, (added, sum(span.count for span in spans)), format)


@app.command()
def remove(
    name: PoolArgument,
    range: CoveredOption,
    zone: ZoneOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Take addresses off a pool, all that it has of the ranges, when nobody holds any of them.

    Those that rest after their release go too; if added again, they are free at once.
    """
    spans = addresses.parsed(range, ranges.covered)
    removed = 0
    with database.transaction() as conn:
        pool_id = _find(conn, name, zone).id
        for span in spans:
            with addresses.unheld(str(span)):
                removed += address_ranges.remove(conn, PUBLIC, pool_id, span)
        found = _find(conn, name, zone)
    addresses.show_removed(found, _DETAILS, removed, format)


@app.command()
def delete(
    name: PoolArgument, zone: ZoneOption = None, format: FormatOption = Format.table
) -> None:
    """Delete a pool of which nobody holds an address."""
    with database.transaction() as conn:
        found = _find(conn, name, zone)
        with addresses.unheld(f"pool {name}"):
            address_ranges.delete(conn, PUBLIC, found.id)
    show_one(found, _DETAILS, format)


@app.command("list")
def list_pools(format: FormatOption = Format.table) -> None:
    """List the pools: addresses that are free, rest after their release, or have a holder."""
    with database.transaction() as conn:
        rows = pools.list_all(conn, quarantine=settings().address_quarantine_seconds)
    show_list(rows, _COLUMNS, format)


@app.command()
def show(name: PoolArgument, zone: ZoneOption = None, format: FormatOption = Format.table) -> None:
    """Show a pool with all its ranges."""
    with database.transaction() as conn:
        found = _find(conn, name, zone)
    show_one(found, _DETAILS, format)


@contextmanager
def _apart() -> Iterator[None]:
    try:
        yield
    except pools.Overlaps as error:
        raise Refused(f"{error}. Nothing was changed.") from error


def _find(conn: Connection, name: str, zone: str | None) -> PoolSummary:
    place = database.zone(conn, zone)
    quarantine = settings().address_quarantine_seconds
    found = pools.find(conn, place.id, name, quarantine=quarantine)
    if found is None:
        raise NotFound(f"There is no pool {name} in zone {place.name}; see `undercast pool list`.")
    return found
