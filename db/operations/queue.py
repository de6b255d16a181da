"""Operations as rows: written with the record they change, leased, fenced, finished.

A worker holds an operation by a lease in Postgres' time. Each lease has the next number of
``lease_seq``; every write of the worker repeats owner and number, so a worker that lost its lease
(paused, cut off) changes nothing. Losing a message costs only the time until the next poll, since
:func:`due` finds everything that is unleased or whose lease ran out.

Rejected: acknowledgement by the broker (a redelivery decides nothing about effects), and advisory
locks as leases (they end with a connection, not with the worker).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from db.operations.errors import InProgress, LeaseLost

SCHEDULER = "scheduler"


def host_target(host_name: str) -> str:
    """Target, and queue, of a host's agent."""
    return f"host.{host_name}"


def host_name(target: str) -> str:
    """Inverse of :func:`host_target`."""
    return target.removeprefix("host.")


@dataclass(frozen=True, slots=True)
class Lease:
    """An operation in a worker's hands."""

    id: int
    zone_id: int
    tenant_id: str | None
    subject_kind: str
    subject_id: int
    kind: str
    step: str
    target: str
    params: dict[str, Any]
    attempt: int
    seq: int
    owner: str
    request_id: str


_RETURNING = """id, zone_id, tenant_id, subject_kind, subject_id, kind, step, target, params,
    attempt, lease_seq AS seq, lease_owner AS owner, request_id"""

_INSERT = text("""
    INSERT INTO operations (zone_id, tenant_id, subject_kind, subject_id, kind, step, target,
                            params, request_id, deadline)
    VALUES (:zone_id, :tenant_id, :subject_kind, :subject_id, :kind, :step, :target, :params,
            :request_id, clock_timestamp() + make_interval(secs => :deadline_seconds))
    ON CONFLICT DO NOTHING RETURNING id
""").bindparams(bindparam("params", type_=JSONB))

_LEASE = text(f"""
    UPDATE operations SET lease_owner = :owner, lease_seq = lease_seq + 1, attempt = attempt + 1,
           lease_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = (SELECT id FROM operations
                WHERE id = :id AND target = ANY(:targets) AND finished_at IS NULL
                  AND run_after <= clock_timestamp()
                  AND (lease_until IS NULL OR lease_until < clock_timestamp())
                FOR UPDATE SKIP LOCKED)
    RETURNING {_RETURNING}
""")  # noqa: S608 - constant text

_DUE = text("""
    SELECT id FROM operations
    WHERE target = ANY(:targets) AND finished_at IS NULL AND run_after <= clock_timestamp()
      AND (lease_until IS NULL OR lease_until < clock_timestamp())
    ORDER BY run_after, id LIMIT :limit
""")

_RENEW = text("""
    UPDATE operations SET lease_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = ANY(:ids) AND lease_owner = :owner AND finished_at IS NULL
""")

_HOLD = text("""
    SELECT cancel_requested_at IS NOT NULL AS cancelled,
           coalesce(deadline < clock_timestamp(), false) AS overdue
    FROM operations
    WHERE id = :id AND lease_owner = :owner AND lease_seq = :seq AND finished_at IS NULL
      AND lease_until > clock_timestamp()
    FOR UPDATE
""")

_ADVANCE = text(f"""
    UPDATE operations SET step = :step, target = :target, params = :params, attempt = 0,
           run_after = clock_timestamp() + make_interval(secs => :delay),
           lease_until = CASE WHEN :keep THEN lease_until END,
           lease_owner = CASE WHEN :keep THEN lease_owner END
    WHERE id = :id AND lease_owner = :owner AND lease_seq = :seq AND finished_at IS NULL
    RETURNING {_RETURNING}
""").bindparams(bindparam("params", type_=JSONB))  # noqa: S608

_POSTPONE = text("""
    UPDATE operations SET lease_owner = NULL, lease_until = NULL, error = :error,
           run_after = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = :id AND lease_owner = :owner AND lease_seq = :seq AND finished_at IS NULL
""")

_FINISH = text("""
    UPDATE operations SET outcome = :outcome, error = :error, finished_at = clock_timestamp(),
           lease_owner = NULL, lease_until = NULL
    WHERE id = :id AND lease_owner = :owner AND lease_seq = :seq AND finished_at IS NULL
""")

_UNBLOCKED = text("""
    UPDATE operations SET run_after = clock_timestamp()
    WHERE subject_kind = :kind AND subject_id = :id AND finished_at IS NULL
      AND lease_owner IS NULL
    RETURNING target, id
""")

_EVENT = text("""
    INSERT INTO operation_events (operation_id, step, level, actor, message, details)
    VALUES (:operation_id, :step, :level, :actor, :message, :details)
""").bindparams(bindparam("details", type_=JSONB))


def enqueue(
    conn: Connection,
    *,
    zone_id: int,
    tenant_id: str | None,
    subject_kind: str,
    subject_id: int,
    kind: str,
    step: str,
    target: str,
    request_id: str,
    params: dict[str, Any] | None = None,
    deadline_seconds: float | None = None,
) -> int:
    """Write an operation in the transaction of the record it changes; returns its id.

    Raises InProgress when the subject already has one of its slot.
    """
    values = {
        "zone_id": zone_id,
        "tenant_id": tenant_id,
        "subject_kind": subject_kind,
        "subject_id": subject_id,
        "kind": kind,
        "step": step,
        "target": target,
        "params": params or {},
        "request_id": request_id,
        "deadline_seconds": deadline_seconds,
    }
    operation_id = conn.execute(_INSERT, values).scalar()
    if operation_id is None:
        raise InProgress(f"{subject_kind} {subject_id} has a live operation")
    return int(operation_id)


def event(
    conn: Connection,
    operation_id: int,
    *,
    step: str,
    actor: str,
    message: str,
    level: str = "info",
    details: dict[str, Any] | None = None,
) -> None:
    """Add a line to the timeline."""
    conn.execute(
        _EVENT,
        {
            "operation_id": operation_id,
            "step": step,
            "level": level,
            "actor": actor,
            "message": message,
            "details": details or {},
        },
    )


def lease(
    conn: Connection, operation_id: int, *, targets: Sequence[str], owner: str, seconds: float
) -> Lease | None:
    """Take a due operation of ``targets`` for ``seconds``; None when there is nothing to take."""
    row = conn.execute(
        _LEASE, {"id": operation_id, "targets": list(targets), "owner": owner, "seconds": seconds}
    ).first()
    return None if row is None else Lease(**row._mapping)


def due(conn: Connection, targets: Sequence[str], limit: int) -> list[int]:
    """Ids of operations of ``targets`` that wait for a worker, longest waiting first."""
    return list(conn.execute(_DUE, {"targets": list(targets), "limit": limit}).scalars())


def renew(conn: Connection, ids: Collection[int], *, owner: str, seconds: float) -> None:
    """Hold leased operations for ``seconds`` from now."""
    conn.execute(_RENEW, {"ids": list(ids), "owner": owner, "seconds": seconds})


@dataclass(frozen=True, slots=True)
class Held:
    """What a worker learns when it asks whether it still holds."""

    cancelled: bool
    overdue: bool


def hold(conn: Connection, held: Lease) -> Held:
    """Lock the row and check the fence. Raises LeaseLost."""
    row = conn.execute(_HOLD, {"id": held.id, "owner": held.owner, "seq": held.seq}).first()
    if row is None:
        raise LeaseLost(f"operation {held.id} lease {held.seq}")
    return Held(cancelled=row.cancelled, overdue=row.overdue)


def advance(
    conn: Connection,
    held: Lease,
    *,
    step: str,
    target: str | None = None,
    params: dict[str, Any] | None = None,
    delay: float = 0.0,
) -> Lease | None:
    """Commit a step: go on with ``step``. Another target or a delay lets go: returns None then.

    Raises LeaseLost.
    """
    keep = target in (None, held.target) and delay == 0
    row = conn.execute(
        _ADVANCE,
        {
            "id": held.id,
            "owner": held.owner,
            "seq": held.seq,
            "step": step,
            "target": target or held.target,
            "params": held.params if params is None else params,
            "delay": delay,
            "keep": keep,
        },
    ).first()
    if row is None:
        raise LeaseLost(f"operation {held.id} lease {held.seq}")
    return Lease(**row._mapping) if keep else None


def postpone(conn: Connection, held: Lease, seconds: float, error: str | None) -> None:
    """Let go and try the same step again after ``seconds``. Raises LeaseLost."""
    values = {"id": held.id, "owner": held.owner, "seq": held.seq}
    if not conn.execute(_POSTPONE, {**values, "seconds": seconds, "error": error}).rowcount:
        raise LeaseLost(f"operation {held.id} lease {held.seq}")


def finish(conn: Connection, held: Lease, outcome: str, error: str | None = None) -> None:
    """End the operation: ``done``, ``failed`` or ``cancelled``. Raises LeaseLost."""
    values = {"id": held.id, "owner": held.owner, "seq": held.seq}
    if not conn.execute(_FINISH, {**values, "outcome": outcome, "error": error}).rowcount:
        raise LeaseLost(f"operation {held.id} lease {held.seq}")


def unblocked(conn: Connection, ended: Lease) -> list[tuple[str, int]]:
    """Live operations of the same subject that waited for ``ended``, as (target, id), due now."""
    rows = conn.execute(_UNBLOCKED, {"kind": ended.subject_kind, "id": ended.subject_id})
    return [(row.target, row.id) for row in rows]
