"""Availability zones, as the operator makes them (R14, R16, D62)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from db.queries import tenants

_INSERT = text("""
    INSERT INTO zones (name, compute_url, root_gb, hostname_domain)
    VALUES (:name, :compute_url, :root_gb, :domain)
    ON CONFLICT DO NOTHING RETURNING id
""")
_CHANGE = text("""
    UPDATE zones SET root_gb = coalesce(:root_gb, root_gb),
           hostname_domain = coalesce(:domain, hostname_domain) WHERE name = :name
""")
_COLUMNS = """
    SELECT z.id, z.name, z.compute_url, z.root_gb, z.hostname_domain,
           (SELECT count(*) FROM hosts h WHERE h.zone_id = z.id) AS hosts,
           (SELECT count(*) FROM servers s WHERE s.zone_id = z.id AND s.deleted_at IS NULL)
               AS servers
    FROM zones z
"""
_LIST = text(f"{_COLUMNS} ORDER BY z.id")
_FIND = text(f"{_COLUMNS} WHERE z.name = :name")


@dataclass(frozen=True, slots=True)
class ZoneSummary:
    """A zone with the number of its hosts and live servers."""

    id: int
    name: str
    compute_url: str | None  # None: the settings' public_url
    root_gb: int  # 0: root disks are as large as their image
    hostname_domain: str
    hosts: int
    servers: int


def create(
    conn: Connection,
    name: str,
    *,
    compute_url: str | None = None,
    root_gb: int = 0,
    domain: str = "novalocal",
) -> bool:
    """Make a zone and activate all tenants in it; False when its name or URL is taken."""
    values = {"name": name, "compute_url": compute_url, "root_gb": root_gb, "domain": domain}
    zone_id = conn.execute(_INSERT, values).scalar()
    if zone_id is None:
        return False
    tenants.activate_in_zone(conn, zone_id)
    return True


def change(conn: Connection, name: str, *, root_gb: int | None, domain: str | None) -> bool:
    """Change what is given (None: as it is); False when there is no such zone."""
    values = {"name": name, "root_gb": root_gb, "domain": domain}
    return bool(conn.execute(_CHANGE, values).rowcount)


def find(conn: Connection, name: str) -> ZoneSummary | None:
    """A zone by name; None when there is none such."""
    row = conn.execute(_FIND, {"name": name}).first()
    return None if row is None else ZoneSummary(*row)


def list_all(conn: Connection) -> list[ZoneSummary]:
    """All zones, by id."""
    return [ZoneSummary(*row) for row in conn.execute(_LIST)]
