"""The network of a zone and its fixed addresses, as the operator makes them (R15, R216)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from db.queries import address_ranges
from db.queries.address_ranges import FIXED, Range, alone, summary

_INSERT = text("""
    INSERT INTO networks (zone_id, name, cidr, gateway, gateway_mac, dns)
    SELECT z.id, :name, CAST(:cidr AS cidr), CAST(:gateway AS inet), :mac, :dns FROM zones z
    WHERE z.id = :zone_id AND NOT EXISTS (SELECT 1 FROM networks n WHERE n.zone_id = z.id)
    RETURNING id
""")
_POOLS_INSIDE = text("""
    SELECT count(*) AS addresses, p.name AS pool, z.name AS zone
    FROM public_addresses a JOIN public_pools p ON p.id = a.pool_id JOIN zones z ON z.id = p.zone_id
    WHERE a.address <<= CAST(:cidr AS inet) GROUP BY p.id, z.name ORDER BY p.id LIMIT 1
""")
_COLUMNS = f"""
    SELECT o.id, o.name, z.name AS zone, o.cidr::text AS cidr, host(o.gateway) AS gateway,
           o.gateway_mac, o.dns, c.addresses, c.free, c.resting, c.used, c.rested_at, r.ranges
    FROM networks o JOIN zones z ON z.id = o.zone_id {summary(FIXED)}
"""
_LIST = text(f"{_COLUMNS} ORDER BY o.id")
_OF_ZONE = text(f"{_COLUMNS} WHERE o.zone_id = :zone_id ORDER BY o.id LIMIT 1")


class Overlaps(Exception):  # noqa: N818
    """Public addresses lie within the network; the message says whose. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class NetworkSummary:
    """A network and its addresses: how many are free, rest until they are, or are a server's.

    ``rested_at``: when the first of those that rest is free. ``ranges``: A-B, or A alone.
    """

    id: int
    name: str
    zone: str
    cidr: str
    gateway: str
    gateway_mac: str
    dns: str
    addresses: int
    free: int
    resting: int
    used: int
    rested_at: datetime | None
    ranges: list[str]


def gateway_mac() -> str:
    """MAC of the gateway, the same on all hosts: random, locally administered.

    Its first byte differs from that of guests' (see :func:`db.queries.progress.mac_of`).
    """
    return "06:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(5))


def create(
    conn: Connection,
    *,
    zone_id: int,
    name: str,
    cidr: str,
    gateway: str,
    ranges: Iterable[Range],
    dns: str = "",
) -> bool:
    """Make the network with its addresses, the gateway left out.

    False when the zone has its network already: there is one, shared by all tenants (R15). Raises
    Overlaps.
    """
    alone(conn)
    inside = conn.execute(_POOLS_INSIDE, {"cidr": cidr}).first()
    if inside is not None:
        raise Overlaps(
            f"{inside.addresses} addresses of {inside.zone}'s pool {inside.pool} lie within {cidr}"
        )
    values = {
        "zone_id": zone_id, "name": name, "cidr": cidr, "gateway": gateway, "dns": dns,
        "mac": gateway_mac(),
    }  # fmt: skip
    network_id = conn.execute(_INSERT, values).scalar()
    if network_id is None:
        return False
    for one in ranges:
        address_ranges.add(conn, FIXED, network_id, one, gateway=gateway)
    return True


def add(conn: Connection, network: NetworkSummary, addresses: Range) -> int:
    """Give a network the addresses that it has not yet, the gateway left out; how many."""
    return address_ranges.add(conn, FIXED, network.id, addresses, gateway=network.gateway)


def of_zone(conn: Connection, zone_id: int, *, quarantine: float) -> NetworkSummary | None:
    """The zone's network; None until it was made."""
    row = conn.execute(_OF_ZONE, {"zone_id": zone_id, "quarantine": quarantine}).first()
    return None if row is None else NetworkSummary(*row)


def list_all(conn: Connection, *, quarantine: float) -> list[NetworkSummary]:
    """All networks; addresses rest for ``quarantine`` seconds."""
    return [NetworkSummary(*row) for row in conn.execute(_LIST, {"quarantine": quarantine})]
