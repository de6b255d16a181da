"""Claims and releases of fixed and public addresses.

An address is claimed by one UPDATE of a free row; rows locked by others are skipped. Before a claim
is refused it waits for those who hold the rows that seem to be free, one after the other, and keeps
no lock meanwhile: with the locks of rows that it looked at in vain, it would make all others wait
for its own end. Least recently released first, and never before its quarantine ended, so that a
guest that still holds a DHCP lease on it cannot meet its successor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, TextClause, text

from db.operations.errors import Fatal
from db.queries.address_ranges import FIXED, PUBLIC, RESTS, Kind

# Pool by pool: those never used, then the longest released. Each is a walk along the index of free
# addresses that ends at its first row, however many others are free, rest, or are another zone's.
_PICK = """
    SELECT a.id FROM (SELECT id FROM {owners} WHERE {among} ORDER BY id) o
    CROSS JOIN LATERAL (
        SELECT id FROM (
            SELECT id FROM {table} WHERE {owner} = o.id AND {free} AND released_at IS NULL
            ORDER BY released_at NULLS FIRST, id LIMIT 1 {lock}) fresh
        UNION ALL
        SELECT id FROM (
            SELECT id FROM {table} WHERE {owner} = o.id AND {free}
              AND released_at < statement_timestamp() - make_interval(secs => :quarantine)
            ORDER BY released_at NULLS FIRST, id LIMIT 1 {lock}) rested) a
    LIMIT 1
"""


def _pick(kind: Kind, lock: str = "") -> str:
    among = "zone_id = :zone_id"
    if kind is PUBLIC:
        among += " AND name = coalesce(CAST(:pool AS text), name)"
    return _PICK.format(
        owners=kind.owners, among=among, table=kind.table, owner=kind.owner, free=kind.free,
        lock=lock,
    )  # fmt: skip


_LOCK = "FOR UPDATE SKIP LOCKED"
_TAKE_FIXED = text(f"""
    UPDATE fixed_addresses SET server_id = :server_id WHERE id = ({_pick(FIXED, _LOCK)})
    RETURNING id
""")
_TAKE_PUBLIC = text(f"""
    UPDATE public_addresses SET server_id = :server_id, automatic = true,
           associated_at = clock_timestamp()
    WHERE id = ({_pick(PUBLIC, _LOCK)}) RETURNING id
""")
_TAKE_FLOATING = text(f"""
    UPDATE public_addresses SET tenant_id = :tenant_id WHERE id = ({_pick(PUBLIC, _LOCK)})
    RETURNING id
""")
_FIRST_FIXED, _FIRST_PUBLIC = text(_pick(FIXED)), text(_pick(PUBLIC))
_AWAIT_FIXED = text("SELECT 1 FROM fixed_addresses WHERE id = :id FOR SHARE")
_AWAIT_PUBLIC = text("SELECT 1 FROM public_addresses WHERE id = :id FOR SHARE")
_HAS_FIXED = text("SELECT 1 FROM fixed_addresses WHERE server_id = :server_id")
_HAS_PUBLIC = text("SELECT 1 FROM public_addresses WHERE server_id = :server_id AND automatic")
_POOLS = text("SELECT EXISTS (SELECT 1 FROM public_pools WHERE zone_id = :zone_id)")
_RELEASE_FIXED = text("""
    UPDATE fixed_addresses SET server_id = NULL, released_at = clock_timestamp()
    WHERE server_id = :server_id
""")
_RELEASE_PUBLIC = text("""
    UPDATE public_addresses SET server_id = NULL, automatic = false, associated_at = NULL,
           released_at = CASE WHEN automatic THEN clock_timestamp() ELSE released_at END
    WHERE server_id = :server_id
""")

_SHORTAGE = """
    SELECT count(*) AS addresses, count(*) FILTER (WHERE NOT ({free})) AS held,
           count(*) FILTER (WHERE {free} AND {rests}) AS resting
    FROM {table} WHERE {owner} IN (SELECT id FROM {owners} WHERE zone_id = :zone_id)
"""

WAITS = 500  # other claims that one waits for at the most before it refuses


class Exhausted(Fatal):
    """No address of a ``kind``, fixed or public, is free in the zone."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"No {kind} address is free", "No more addresses are available.")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class _Claim:
    """Statements that claim one row, look for the first free one, and wait for its holder."""

    take: TextClause
    first: TextClause
    wait: TextClause


_FIXED = _Claim(_TAKE_FIXED, _FIRST_FIXED, _AWAIT_FIXED)
_PUBLIC = _Claim(_TAKE_PUBLIC, _FIRST_PUBLIC, _AWAIT_PUBLIC)
_FLOATING = _Claim(_TAKE_FLOATING, _FIRST_PUBLIC, _AWAIT_PUBLIC)


def claim(conn: Connection, *, zone_id: int, server_id: int, quarantine: float) -> None:
    """Give a server its fixed and its automatic public address, unless it has them (R216, R217).

    A zone without a public pool gives none. Raises Exhausted.
    """
    values = {
        "zone_id": zone_id, "server_id": server_id, "quarantine": quarantine, "pool": None,
    }  # fmt: skip
    has_fixed = conn.execute(_HAS_FIXED, values).first()
    if not has_fixed and not _take(conn, values, _FIXED):
        raise Exhausted("fixed")
    if (
        not conn.execute(_HAS_PUBLIC, values).first()
        and conn.execute(_POOLS, values).scalar_one()
        and not _take(conn, values, _PUBLIC)
    ):
        raise Exhausted("public")


def claim_floating(
    conn: Connection, *, zone_id: int, tenant_id: str, pool: str | None, quarantine: float
) -> int | None:
    """Give a tenant a floating address of a pool, of any when None: its id (R223).

    None when the addresses are exhausted.
    """
    values = {
        "zone_id": zone_id, "tenant_id": tenant_id, "quarantine": quarantine, "pool": pool,
    }  # fmt: skip
    return _take(conn, values, _FLOATING)


def shortage(conn: Connection, zone_id: int, kind: str, *, quarantine: float) -> dict[str, int]:
    """How many ``addresses`` of a kind a zone has; how many are ``held``, how many ``resting``."""
    what = FIXED if kind == "fixed" else PUBLIC
    statement = _SHORTAGE.format(
        table=what.table, owners=what.owners, owner=what.owner, free=what.free, rests=RESTS
    )
    row = conn.execute(text(statement), {"zone_id": zone_id, "quarantine": quarantine}).one()
    return dict(row._mapping)


def _take(conn: Connection, values: Mapping[str, object], how: _Claim) -> int | None:
    """Id of the row that is claimed now; None when all are taken."""
    for _ in range(WAITS):
        taken: int | None = conn.execute(how.take, values).scalar()
        if taken is not None:
            return taken
        held = conn.execute(how.first, values).scalar()
        if held is None:
            return None
        with conn.begin_nested() as moment:
            conn.execute(how.wait, {"id": held})
            moment.rollback()
    return None


def release(conn: Connection, server_id: int) -> bool:
    """Take all addresses off a server; floating ones stay the tenant's, its own rest.

    Whether it had a fixed one.
    """
    had = conn.execute(_RELEASE_FIXED, {"server_id": server_id}).rowcount
    conn.execute(_RELEASE_PUBLIC, {"server_id": server_id})
    return bool(had)
