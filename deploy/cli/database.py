"""What commands share of the database: a transaction, and records by the names operators use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from sqlalchemy import Connection

from db.engine import engine
from db.queries import tenants, zones
from db.queries.tenants import TenantSummary
from db.queries.zones import ZoneSummary
from db.settings import settings
from deploy.cli.errors import NotFound

ZoneOption = Annotated[
    str | None, typer.Option("--zone", help="Name of the zone; default: the settings' zone.")
]


@contextmanager
def transaction() -> Iterator[Connection]:
    """One transaction on the settings' database, committed at the end."""
    with engine().begin() as conn:
        yield conn


def zone(conn: Connection, name: str | None) -> ZoneSummary:
    """A zone by name, or the settings' zone. Raises NotFound."""
    wanted = name or settings().zone
    found = zones.find(conn, wanted)
    if found is None:
        raise NotFound(f"There is no zone {wanted}; `undercast zone list` shows those there are.")
    return found


def tenant(conn: Connection, name_or_id: str) -> TenantSummary:
    """A tenant by id or name. Raises NotFound."""
    found = tenants.find(conn, name_or_id)
    if found is None:
        raise NotFound(
            f"There is no tenant {name_or_id}; `undercast tenant list` shows those there are."
        )
    return found
