"""Chores of the one sweeping scheduler: what time alone changes."""

from __future__ import annotations

from sqlalchemy import Connection, text

from db.queries import ends, server_changes, server_operations

LEADER_KEY = 0x756E6465  # Postgres advisory lock of the sweeper

_LEAD = text("SELECT pg_try_advisory_xact_lock(:key)")
_EXPIRED_TOKENS = text("""
    DELETE FROM tokens WHERE hash IN (
        SELECT hash FROM tokens WHERE expires_at < clock_timestamp() LIMIT 1000)
""")
_EXPIRED_KEYS = text("""
    DELETE FROM access_keys WHERE valid_to < clock_timestamp() - interval '30 days'
""")

OVERDUE = "The deadline passed while the host was silent"
SILENT = "The host fell silent while the image was made"
_ACTOR = "sweeper"


def lead(conn: Connection) -> bool:
    """Whether this transaction is the one that sweeps."""
    return bool(conn.execute(_LEAD, {"key": LEADER_KEY}).scalar_one())


def fail_overdue(conn: Connection, *, grace: float) -> int:
    """End operations on servers that sit on silent hosts past their deadline."""
    late = server_operations.overdue(conn, grace)
    return ends.fail_stuck(conn, late, OVERDUE, actor=_ACTOR)


def fail_snapshots_on_silent_hosts(conn: Connection, *, silent: float) -> int:
    """End images that are being made on hosts that fell silent; their servers are free again.

    What such a host has of the copy it removes itself when it comes back.
    """
    stuck = server_operations.snapshots_on_silent_hosts(conn, silent)
    return ends.fail_stuck(conn, stuck, SILENT, actor=_ACTOR)


def forget_on_silent_hosts(conn: Connection, *, silent: float) -> int:
    """Free name and quota of deleted servers whose hosts do not answer to the end."""
    ids = server_operations.deletes_on_silent_hosts(conn, silent)
    for server_id in ids:
        server_changes.forget(conn, server_id)
    return len(ids)


def drop_expired_tokens(conn: Connection) -> int:
    """Remove tokens past their time."""
    return conn.execute(_EXPIRED_TOKENS).rowcount


def drop_expired_keys(conn: Connection) -> int:
    """Remove access keys a month past their time; until then their users see that they expired."""
    return conn.execute(_EXPIRED_KEYS).rowcount
