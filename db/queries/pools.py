"""Pools of public addresses, as the operator makes them (R217)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from db.queries import address_ranges
from db.queries.address_ranges import PUBLIC, Range, alone, span, summary

_INSERT = text("""
    INSERT INTO public_pools (zone_id, name) VALUES (:zone_id, :name)
    ON CONFLICT DO NOTHING RETURNING id
""")
_ELSEWHERE = text("""
    SELECT count(*) AS addresses, p.name AS pool, z.name AS zone
    FROM public_addresses a JOIN public_pools p ON p.id = a.pool_id JOIN zones z ON z.id = p.zone_id
    WHERE a.address BETWEEN CAST(:first AS inet) AND CAST(:last AS inet) AND p.id <> :pool_id
    GROUP BY p.id, z.name ORDER BY p.id LIMIT 1
""")
_IN_NETWORK = text("""
    SELECT n.cidr::text AS cidr, n.name AS network, z.name AS zone
    FROM networks n JOIN zones z ON z.id = n.zone_id
    WHERE CAST(host(network(n.cidr)) AS inet) <= CAST(:last AS inet)
      AND CAST(host(broadcast(n.cidr)) AS inet) >= CAST(:first AS inet) ORDER BY n.id LIMIT 1
""")
_OF_HOST = text(r"""
    SELECT name, management_address AS address FROM hosts
    WHERE management_address ~ '^\d+(\.\d+){3}$'
      AND CAST(management_address AS inet) BETWEEN CAST(:first AS inet) AND CAST(:last AS inet)
    ORDER BY id LIMIT 1
""")
_COLUMNS = f"""
    SELECT o.id, o.name, z.name AS zone, c.addresses, c.free, c.resting,
           (SELECT count(*) FROM public_addresses WHERE pool_id = o.id AND automatic) AS automatic,
           (SELECT count(*) FROM public_addresses
             WHERE pool_id = o.id AND tenant_id IS NOT NULL AND NOT automatic) AS floating,
           c.used, c.rested_at, r.ranges
    FROM public_pools o JOIN zones z ON z.id = o.zone_id {summary(PUBLIC)}
"""
_LIST = text(f"{_COLUMNS} ORDER BY o.id")
_FIND = text(f"{_COLUMNS} WHERE o.zone_id = :zone_id AND o.name = :name")

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


class Overlaps(Exception):  # noqa: N818
    """Addresses are another pool's, a network's or a host's; the message says whose. Roll back."""


@dataclass(frozen=True, slots=True)
class PoolSummary:
    """A pool and who has its addresses: nobody, nobody yet again, servers from birth, or tenants.

    Used are the last two together. ``rested_at``: when the first of those that rest is free.
    ``ranges``: A-B, or A alone.
    """

    id: int
    name: str
    zone: str
    addresses: int
    free: int
    resting: int
    automatic: int
    floating: int
    used: int
    rested_at: datetime | None
    ranges: list[str]


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


def create(conn: Connection, *, zone_id: int, name: str, ranges: Iterable[Range]) -> bool:
    """Make a pool with its addresses; False when its name is taken. Raises Overlaps."""
    alone(conn)
    pool_id = conn.execute(_INSERT, {"zone_id": zone_id, "name": name}).scalar()
    if pool_id is None:
        return False
    for one in ranges:
        add(conn, pool_id, one)
    return True


def add(conn: Connection, pool_id: int, addresses: Range) -> int:
    """Give a pool the addresses that it has not yet; how many. Raises Overlaps."""
    alone(conn)
    values = {"pool_id": pool_id, **span(addresses)}
    network = conn.execute(_IN_NETWORK, values).first()
    if network is not None:
        raise Overlaps(
            f"{addresses} overlaps {network.cidr}, the network {network.network} of {network.zone}"
        )
    host = conn.execute(_OF_HOST, values).first()
    if host is not None:
        raise Overlaps(f"{addresses} holds {host.address}, the host {host.name}'s own address")
    other = conn.execute(_ELSEWHERE, values).first()
    if other is not None:
        raise Overlaps(
            f"{other.addresses} of the {addresses.count} addresses {addresses} belong to"
            f" {other.zone}'s pool {other.pool}"
        )
    return address_ranges.add(conn, PUBLIC, pool_id, addresses)


def find(conn: Connection, zone_id: int, name: str, *, quarantine: float) -> PoolSummary | None:
    """A pool by name; None when the zone has none such."""
    values = {"zone_id": zone_id, "name": name, "quarantine": quarantine}
    row = conn.execute(_FIND, values).first()
    return None if row is None else PoolSummary(*row)


def list_all(conn: Connection, *, quarantine: float) -> list[PoolSummary]:
    """All pools; addresses rest for ``quarantine`` seconds."""
    return [PoolSummary(*row) for row in conn.execute(_LIST, {"quarantine": quarantine})]


def list_floating(
    conn: Connection, *, tenant_id: str | None = None, host: str | None = None
) -> list[FloatingSummary]:
    """Addresses that tenants hold, by pool and address."""
    rows = conn.execute(_FLOATING, {"tenant_id": tenant_id, "host": host})
    return [FloatingSummary(*row) for row in rows]
