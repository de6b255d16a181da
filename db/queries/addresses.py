"""Claims and releases of fixed and public addresses.

An address is claimed by one UPDATE of a free row; rows locked by others are skipped first, and only
waited for before refusing. Least recently released first, and never before its quarantine ended, so
that a guest that still holds a DHCP lease on it cannot meet its successor.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, TextClause, text

from db.operations.errors import Fatal

_FREE = """
    {owned} AND (released_at IS NULL
                 OR released_at < clock_timestamp() - make_interval(secs => :quarantine))
"""
_FREE_FIXED = _FREE.format(owned="f.server_id IS NULL")
_FREE_PUBLIC = _FREE.format(owned="p.server_id IS NULL AND p.tenant_id IS NULL")

_PICK_FIXED = f"""
    SELECT f.id FROM fixed_addresses f JOIN networks n ON n.id = f.network_id
    WHERE n.zone_id = :zone_id AND {_FREE_FIXED}
    ORDER BY f.network_id, f.released_at NULLS FIRST, f.id LIMIT 1 FOR UPDATE OF f
"""
_PICK_PUBLIC = f"""
    SELECT p.id FROM public_addresses p JOIN public_pools o ON o.id = p.pool_id
    WHERE o.zone_id = :zone_id AND o.name = coalesce(CAST(:pool AS text), o.name)
      AND {_FREE_PUBLIC}
    ORDER BY p.pool_id, p.released_at NULLS FIRST, p.id LIMIT 1 FOR UPDATE OF p
"""
_CLAIM_FIXED = "UPDATE fixed_addresses SET server_id = :server_id WHERE id = ({pick}) RETURNING id"
_CLAIM_PUBLIC = """
    UPDATE public_addresses SET server_id = :server_id, automatic = true,
           associated_at = clock_timestamp() WHERE id = ({pick}) RETURNING id
"""
_CLAIM_FLOATING = """
    UPDATE public_addresses SET tenant_id = :tenant_id WHERE id = ({pick}) RETURNING id
"""
_HAS_FIXED = text("SELECT 1 FROM fixed_addresses WHERE server_id = :server_id")
_HAS_PUBLIC = text("SELECT 1 FROM public_addresses WHERE server_id = :server_id AND automatic")
_ANY_FIXED = text(f"SELECT EXISTS ({_PICK_FIXED.replace('FOR UPDATE OF f', '')})")
_ANY_PUBLIC = text(f"SELECT EXISTS ({_PICK_PUBLIC.replace('FOR UPDATE OF p', '')})")
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

WAITS = 20  # times that a claim waits for other claims' locks before it refuses


def claim(conn: Connection, *, zone_id: int, server_id: int, quarantine: float) -> None:
    """Give a server its fixed and its automatic public address, unless it has them (R216, R217).

    A zone without a public pool gives none. Raises Fatal when the addresses are exhausted.
    """
    values = {
        "zone_id": zone_id, "server_id": server_id, "quarantine": quarantine, "pool": None,
    }  # fmt: skip
    has_fixed = conn.execute(_HAS_FIXED, values).first()
    if not has_fixed and not _take(conn, values, _CLAIM_FIXED, _PICK_FIXED, _ANY_FIXED):
        raise Fatal("No fixed address is free", "No more addresses are available.")
    if (
        not conn.execute(_HAS_PUBLIC, values).first()
        and conn.execute(_POOLS, values).scalar_one()
        and not _take(conn, values, _CLAIM_PUBLIC, _PICK_PUBLIC, _ANY_PUBLIC)
    ):
        raise Fatal("No public address is free", "No more addresses are available.")


def claim_floating(
    conn: Connection, *, zone_id: int, tenant_id: str, pool: str | None, quarantine: float
) -> int | None:
    """Give a tenant a floating address of a pool, of any when None: its id (R223).

    None when the addresses are exhausted.
    """
    values = {
        "zone_id": zone_id, "tenant_id": tenant_id, "quarantine": quarantine, "pool": pool,
    }  # fmt: skip
    return _take(conn, values, _CLAIM_FLOATING, _PICK_PUBLIC, _ANY_PUBLIC)


def _take(
    conn: Connection, values: Mapping[str, object], claim_sql: str, pick: str, any_free: TextClause
) -> int | None:
    """Id of the row that is claimed now."""
    quick, patient = (text(claim_sql.format(pick=pick + wait)) for wait in (" SKIP LOCKED", ""))
    taken: int | None = conn.execute(quick, values).scalar()
    for _ in range(WAITS):
        if taken is not None or not conn.execute(any_free, values).scalar_one():
            break
        taken = conn.execute(patient, values).scalar()
    return taken


def release(conn: Connection, server_id: int) -> None:
    """Take all addresses off a server; floating ones stay the tenant's, its own rest."""
    conn.execute(_RELEASE_FIXED, {"server_id": server_id})
    conn.execute(_RELEASE_PUBLIC, {"server_id": server_id})
