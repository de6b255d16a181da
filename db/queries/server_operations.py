"""A server's operations, for those who must end or survey them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, text

_LOCK = text("""
    SELECT 1 FROM servers s JOIN tenants t ON t.id = s.tenant_id WHERE s.id = :id
    FOR NO KEY UPDATE OF t, s
""")
_OTHER = text("""
    SELECT id, lease_until > clock_timestamp() AS held FROM operations
    WHERE subject_kind = 'server' AND subject_id = :id AND finished_at IS NULL
      AND kind <> 'delete' FOR UPDATE
""")
_END = text("""
    UPDATE operations SET outcome = 'cancelled', finished_at = clock_timestamp(),
           lease_owner = NULL, lease_until = NULL WHERE id = :id
""")
_OVERDUE = text("""
    SELECT o.id, o.subject_id AS server_id, o.kind, o.step, o.params FROM operations o
    WHERE o.finished_at IS NULL AND o.kind <> 'delete' AND o.subject_kind = 'server'
      AND o.deadline < clock_timestamp() - make_interval(secs => :grace)
      AND (o.lease_until IS NULL OR o.lease_until < clock_timestamp())
    ORDER BY o.id LIMIT 100
""")
_FAIL = text("""
    UPDATE operations SET outcome = 'failed', error = :error, finished_at = clock_timestamp(),
           lease_owner = NULL, lease_until = NULL
    WHERE id = :id AND finished_at IS NULL
      AND (lease_until IS NULL OR lease_until < clock_timestamp())
""")
_ON_SILENT_HOSTS = text("""
    SELECT s.id FROM operations o JOIN servers s ON s.id = o.subject_id
    JOIN hosts h ON h.id = s.host_id JOIN host_heartbeats b ON b.host_id = h.id
    WHERE o.finished_at IS NULL AND o.kind = 'delete' AND o.subject_kind = 'server'
      AND s.deleted_at IS NULL AND b.at < clock_timestamp() - make_interval(secs => :silent)
    ORDER BY s.id LIMIT 100
""")


# The database's own absence is not a host's silence: only what it could have heard counts.
_SNAPSHOTS_ON_SILENT_HOSTS = text("""
    SELECT o.id, o.subject_id AS server_id, o.kind, o.step, o.params
    FROM operations o JOIN servers s ON s.id = o.subject_id
    JOIN host_heartbeats b ON b.host_id = s.host_id
    WHERE o.finished_at IS NULL AND o.kind = 'snapshot' AND o.subject_kind = 'server'
      AND b.at < clock_timestamp() - make_interval(secs => :silent)
      AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => :silent)
      AND (o.lease_until IS NULL OR o.lease_until < clock_timestamp())
    ORDER BY o.id LIMIT 100
""")
_BEGUN_SNAPSHOTS = text("""
    SELECT id, subject_id AS server_id, kind, step, params FROM operations
    WHERE finished_at IS NULL AND kind = 'snapshot' AND target = :target
      AND (step = 'image_snapshot' AND attempt > 0 OR step = 'uploading')
    ORDER BY id
""")


@dataclass(frozen=True, slots=True)
class Stuck:
    """An operation on a server that its worker does not end."""

    id: int
    server_id: int
    kind: str
    step: str
    params: dict[str, Any]


def lock(conn: Connection, server_id: int) -> None:
    """Lock a server and its tenant, which come before operations in the lock order."""
    conn.execute(_LOCK, {"id": server_id})


def end_unheld(conn: Connection, server_id: int) -> Literal["none", "ended", "held"]:
    """End the server's other operation unless a worker holds it now."""
    row = conn.execute(_OTHER, {"id": server_id}).first()
    if row is None:
        return "none"
    if row.held:
        return "held"
    conn.execute(_END, {"id": row.id})
    return "ended"


def overdue(conn: Connection, grace: float) -> list[Stuck]:
    """Operations unheld ``grace`` seconds past their deadline. Deletes have none."""
    return [Stuck(*row) for row in conn.execute(_OVERDUE, {"grace": grace})]


def snapshots_on_silent_hosts(conn: Connection, silent: float) -> list[Stuck]:
    """Images that are being made on hosts of which nothing was heard for ``silent`` seconds."""
    return [Stuck(*row) for row in conn.execute(_SNAPSHOTS_ON_SILENT_HOSTS, {"silent": silent})]


def begun_snapshots(conn: Connection, target: str) -> list[Stuck]:
    """Images of which a host has begun the copy, and not yet brought it to the store."""
    return [Stuck(*row) for row in conn.execute(_BEGUN_SNAPSHOTS, {"target": target})]


def fail_unheld(conn: Connection, operation_id: int, error: str) -> bool:
    """End an operation as failed; False when a worker took it meanwhile."""
    return bool(conn.execute(_FAIL, {"id": operation_id, "error": error}).rowcount)


def deletes_on_silent_hosts(conn: Connection, silent: float) -> list[int]:
    """Servers that their tenants deleted and whose hosts have since fallen silent."""
    return list(conn.execute(_ON_SILENT_HOSTS, {"silent": silent}).scalars())
