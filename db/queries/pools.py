"""Pools of public addresses, as the operator makes them (R217)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

_INSERT = text("""
    INSERT INTO public_pools (zone_id, name) VALUES (:zone_id, :name)
    ON CONFLICT DO NOTHING RETURNING id
""")
_ADDRESSES = text("""
    INSERT INTO public_addresses (pool_id, address)
    SELECT :pool_id, CAST(:first AS inet) + n
    FROM generate_series(CAST(0 AS bigint), :count - 1) AS n ORDER BY n
    ON CONFLICT (address) DO NOTHING
""")
_COLUMNS = """
    SELECT p.id, p.name, z.name AS zone, count(a.id) AS addresses,
           count(a.id) FILTER (WHERE a.server_id IS NULL AND a.tenant_id IS NULL) AS free,
           count(a.id) FILTER (WHERE a.automatic) AS automatic,
           count(a.id) FILTER (WHERE a.tenant_id IS NOT NULL) AS floating,
           host(min(a.address)) AS first, host(max(a.address)) AS last
    FROM public_pools p JOIN zones z ON z.id = p.zone_id
    LEFT JOIN public_addresses a ON a.pool_id = p.id
"""
_GROUP = "GROUP BY p.id, z.name"
_LIST = text(f"{_COLUMNS} {_GROUP} ORDER BY p.id")
_FIND = text(f"{_COLUMNS} WHERE p.zone_id = :zone_id AND p.name = :name {_GROUP}")

_FLOATING = text("""
    SELECT a.id, t.id AS project, t.name AS tenant, host(a.address) AS address,
           s.uuid::text AS instance, h.name AS host, p.name AS pool, z.name AS zone
    FROM public_addresses a JOIN public_pools p ON p.id = a.pool_id
    JOIN zones z ON z.id = p.zone_id JOIN tenants t ON t.id = a.tenant_id
    LEFT JOIN servers s ON s.id = a.server_id LEFT JOIN hosts h ON h.id = s.host_id
    WHERE a.tenant_id = coalesce(CAST(:tenant_id AS text), a.tenant_id)
      AND (CAST(:host AS text) IS NULL OR h.name = :host)
    ORDER BY p.id, a.address
""")


class AddressesInUse(Exception):  # noqa: N818
    """Some of the addresses belong to a pool already; nothing was changed once rolled back."""


@dataclass(frozen=True, slots=True)
class PoolSummary:
    """A pool and who holds its addresses: nobody, servers from birth, or tenants."""

    id: int
    name: str
    zone: str
    addresses: int
    free: int
    automatic: int
    floating: int
    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class FloatingSummary:
    """An address that a tenant (``project``) holds, and the server and host that it leads to."""

    id: int
    project: str
    tenant: str
    address: str
    instance: str | None  # UUID
    host: str | None
    pool: str
    zone: str


def create(conn: Connection, *, zone_id: int, name: str, first: str, count: int) -> bool:
    """Make a pool of ``count`` addresses from ``first``; False when its name is taken.

    Raises AddressesInUse, after which the caller's transaction must not commit.
    """
    pool_id = conn.execute(_INSERT, {"zone_id": zone_id, "name": name}).scalar()
    if pool_id is None:
        return False
    made = conn.execute(_ADDRESSES, {"pool_id": pool_id, "first": first, "count": count}).rowcount
    if made < count:
        raise AddressesInUse(f"{count - made} of the {count} addresses belong to a pool already")
    return True


def find(conn: Connection, zone_id: int, name: str) -> PoolSummary | None:
    """A pool by name; None when the zone has none such."""
    row = conn.execute(_FIND, {"zone_id": zone_id, "name": name}).first()
    return None if row is None else PoolSummary(*row)


def list_all(conn: Connection) -> list[PoolSummary]:
    """All pools."""
    return [PoolSummary(*row) for row in conn.execute(_LIST)]


def list_floating(
    conn: Connection, *, tenant_id: str | None = None, host: str | None = None
) -> list[FloatingSummary]:
    """Addresses that tenants hold, by pool and address."""
    rows = conn.execute(_FLOATING, {"tenant_id": tenant_id, "host": host})
    return [FloatingSummary(*row) for row in rows]
