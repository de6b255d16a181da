"""Chores of the one sweeping scheduler: what time alone changes."""

from __future__ import annotations

from sqlalchemy import Connection, text

from db.operations import queue
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


def lead(conn: Connection) -> bool:
    """Whether this transaction is the one that sweeps."""
    return bool(conn.execute(_LEAD, {"key": LEADER_KEY}).scalar_one())


def fail_overdue(conn: Connection, *, grace: float) -> int:
    """End operations on servers that sit on silent hosts past their deadline.

    What the host may still hold stays claimed until the host confirms that it is gone.
    """
    count = 0
    for late in server_operations.overdue(conn, grace):
        server_operations.lock(conn, late.server_id)
        if server_operations.fail_unheld(conn, late.id, OVERDUE):
            ends.fail(conn, late.server_id, late.kind, late.step, late.params)
            queue.event(
                conn, late.id, step=late.step, actor="sweeper", message=OVERDUE, level="error"
            )
            count += 1
    return count


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
