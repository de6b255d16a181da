"""The network of a zone and its fixed addresses, as the operator makes them (R15, R216)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, text

_INSERT = text("""
    INSERT INTO networks (zone_id, name, cidr, gateway, gateway_mac, dns)
    SELECT z.id, :name, CAST(:cidr AS cidr), CAST(:gateway AS inet), :mac, :dns FROM zones z
    WHERE z.id = :zone_id AND NOT EXISTS (SELECT 1 FROM networks n WHERE n.zone_id = z.id)
    RETURNING id
""")
_LOCK_ZONE = text("SELECT 1 FROM zones WHERE id = :zone_id FOR NO KEY UPDATE")
_ADDRESSES = text("""
    INSERT INTO fixed_addresses (network_id, address)
    SELECT :network_id, a.address
    FROM (SELECT n, CAST(:first AS inet) + n AS address
          FROM generate_series(CAST(0 AS bigint), :count - 1) AS n) AS a
    WHERE a.address <> CAST(:gateway AS inet) ORDER BY a.n
""")
_COLUMNS = """
    SELECT n.id, n.name, z.name AS zone, n.cidr::text AS cidr, host(n.gateway) AS gateway,
           n.gateway_mac, n.dns, count(f.id) AS addresses, count(f.server_id) AS used,
           host(min(f.address)) AS first, host(max(f.address)) AS last
    FROM networks n JOIN zones z ON z.id = n.zone_id
    LEFT JOIN fixed_addresses f ON f.network_id = n.id
"""
_GROUP = "GROUP BY n.id, z.name"
_LIST = text(f"{_COLUMNS} {_GROUP} ORDER BY n.id")
_OF_ZONE = text(f"{_COLUMNS} WHERE n.zone_id = :zone_id {_GROUP} ORDER BY n.id LIMIT 1")


@dataclass(frozen=True, slots=True)
class NetworkSummary:
    """A network and how many of its addresses servers hold."""

    id: int
    name: str
    zone: str
    cidr: str
    gateway: str
    gateway_mac: str
    dns: str
    addresses: int
    used: int
    first: str | None
    last: str | None


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
    first: str,
    count: int,
    dns: str = "",
) -> bool:
    """Make the network with ``count`` addresses from ``first``, the gateway left out.

    False when the zone has its network already: there is one, shared by all tenants (R15).
    """
    conn.execute(_LOCK_ZONE, {"zone_id": zone_id})
    values = {
        "zone_id": zone_id, "name": name, "cidr": cidr, "gateway": gateway, "dns": dns,
        "mac": gateway_mac(),
    }  # fmt: skip
    network_id = conn.execute(_INSERT, values).scalar()
    if network_id is None:
        return False
    conn.execute(
        _ADDRESSES, {"network_id": network_id, "first": first, "count": count, "gateway": gateway}
    )
    return True


def of_zone(conn: Connection, zone_id: int) -> NetworkSummary | None:
    """The zone's network; None until it was made."""
    row = conn.execute(_OF_ZONE, {"zone_id": zone_id}).first()
    return None if row is None else NetworkSummary(*row)


def list_all(conn: Connection) -> list[NetworkSummary]:
    """All networks."""
    return [NetworkSummary(*row) for row in conn.execute(_LIST)]
