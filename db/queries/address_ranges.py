"""Addresses of networks and pools, in any number of ranges: added, removed, counted (R216-R217).

An address is a row that belongs to a network or to a pool. What operators change is serialized by
:func:`alone`, so that checks against other networks and pools hold; claims go on meanwhile, and
whoever is first with a row has it: a claimed one is not removed, a removed one is not claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from sqlalchemy import Connection, text

NAMED = 5  # holders that a refusal names


@dataclass(frozen=True, slots=True)
class Range:
    """``count`` addresses in a row."""

    first: IPv4Address
    count: int

    @property
    def last(self) -> IPv4Address:
        """The highest of them."""
        return self.first + (self.count - 1)

    def __str__(self) -> str:
        return str(self.first) if self.count == 1 else f"{self.first}-{self.last}"


_ALL = Range(IPv4Address(0), 2**32)


@dataclass(frozen=True, slots=True)
class Kind:
    """Where addresses of one kind are, as SQL."""

    table: str
    owners: str  # table of networks or pools
    owner: str  # column that refers to it
    free: str  # condition: nobody holds it
    tenant: str = "s.tenant_id"  # who holds it, a for the address and s for its server
    floating: str = "false"


FIXED = Kind("fixed_addresses", "networks", "network_id", "server_id IS NULL")
PUBLIC = Kind(
    "public_addresses", "public_pools", "pool_id", "server_id IS NULL AND tenant_id IS NULL",
    tenant="CASE WHEN a.automatic THEN s.tenant_id ELSE a.tenant_id END",
    floating="NOT a.automatic",
)  # fmt: skip

_ALONE = text("LOCK TABLE networks, public_pools IN SHARE ROW EXCLUSIVE MODE")
_SPAN = "address BETWEEN CAST(:first AS inet) AND CAST(:last AS inet)"
RESTS = "(released_at >= statement_timestamp() - make_interval(secs => :quarantine)) IS TRUE"
_ADD = """
    INSERT INTO {table} ({owner}, address)
    SELECT :owner_id, a.address
    FROM (SELECT n, CAST(:first AS inet) + n AS address
          FROM generate_series(CAST(0 AS bigint), :count - 1) AS n) AS a
    WHERE a.address IS DISTINCT FROM CAST(:gateway AS inet) ORDER BY a.n
    ON CONFLICT DO NOTHING
"""
_REMOVE = f"DELETE FROM {{table}} WHERE {{owner}} = :owner_id AND {_SPAN} AND {{free}}"
_DELETE = "DELETE FROM {owners} WHERE id = :owner_id"
_HOLDERS = f"""
    SELECT count(*) OVER () AS held, host(a.address) AS address, s.id AS server_id,
           s.name AS server, s.deleted_at IS NOT NULL AS deleted, t.name AS tenant,
           {{floating}} AS floating
    FROM (SELECT * FROM {{table}} WHERE {{owner}} = :owner_id AND {_SPAN} AND NOT ({{free}})) a
    LEFT JOIN servers s ON s.id = a.server_id LEFT JOIN tenants t ON t.id = {{tenant}}
    ORDER BY a.address LIMIT {NAMED}
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has an address: a server from birth, or a tenant, maybe on a server, when floating."""

    address: str
    server_id: int | None
    server: str | None
    deleted: bool
    tenant: str | None
    floating: bool


class StillHeld(Exception):  # noqa: N818
    """``held`` addresses have holders, the first of them named; roll back."""

    def __init__(self, held: int, holders: Sequence[Holder]) -> None:
        super().__init__(f"{held} addresses are held")
        self.held = held
        self.holders = holders


def summary(kind: Kind) -> str:
    """SQL: of each network or pool ``o`` its addresses as ``c`` and its ranges as ``r``.

    Used are those that a server or a tenant has; those released within ``:quarantine`` seconds rest
    until then, and the first of them is free at ``rested_at``. All others are free.
    """
    rests = f"{kind.free} AND {RESTS}"
    return f"""
    CROSS JOIN LATERAL (
        SELECT count(*) AS addresses, count(*) FILTER (WHERE {kind.free} AND NOT {RESTS}) AS free,
               count(*) FILTER (WHERE {rests}) AS resting,
               count(*) FILTER (WHERE NOT ({kind.free})) AS used,
               min(released_at) FILTER (WHERE {rests})
                   + make_interval(secs => :quarantine) AS rested_at
        FROM {kind.table} WHERE {kind.owner} = o.id) c
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(concat_ws('-', host(first), nullif(host(last), host(first)))
                                  ORDER BY first), '{{}}') AS ranges
        FROM (SELECT min(address) AS first, max(address) AS last
              FROM (SELECT address, (address - inet '0.0.0.0')
                           - row_number() OVER (ORDER BY address) AS run
                    FROM {kind.table} WHERE {kind.owner} = o.id) numbered
              GROUP BY run) runs) r
    """


def _sql(kind: Kind, statement: str) -> str:
    return statement.format(
        table=kind.table, owners=kind.owners, owner=kind.owner, free=kind.free,
        tenant=kind.tenant, floating=kind.floating,
    )  # fmt: skip


def alone(conn: Connection) -> None:
    """No other transaction changes networks or pools until this one ends."""
    conn.execute(_ALONE)


def span(addresses: Range) -> dict[str, str]:
    """A range as values of statements."""
    return {"first": str(addresses.first), "last": str(addresses.last)}


def add(
    conn: Connection, kind: Kind, owner_id: int, addresses: Range, *, gateway: str | None = None
) -> int:
    """Give a network or a pool the addresses that it has not, the gateway left out; how many."""
    alone(conn)
    values = {
        "owner_id": owner_id, "first": str(addresses.first), "count": addresses.count,
        "gateway": gateway,
    }  # fmt: skip
    return conn.execute(text(_sql(kind, _ADD)), values).rowcount


def remove(conn: Connection, kind: Kind, owner_id: int, addresses: Range) -> int:
    """Take off a network or a pool what it has of a range; how many. Raises StillHeld."""
    values = {"owner_id": owner_id, **span(addresses)}
    removed = conn.execute(text(_sql(kind, _REMOVE)), values).rowcount
    held = list(conn.execute(text(_sql(kind, _HOLDERS)), values))
    if held:
        raise StillHeld(held[0].held, [Holder(*row[1:]) for row in held])
    return removed


def delete(conn: Connection, kind: Kind, owner_id: int) -> None:
    """Delete a network or a pool with its addresses. Raises StillHeld."""
    alone(conn)
    remove(conn, kind, owner_id, _ALL)
    conn.execute(text(_sql(kind, _DELETE)), {"owner_id": owner_id})
