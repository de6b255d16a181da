"""Operations and their timelines, as the operator reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

# Why a live operation has not moved although it should have, :grace seconds ago at the latest.
_STUCK = """
    CASE WHEN o.finished_at IS NOT NULL THEN NULL
         WHEN o.deadline < clock_timestamp() - make_interval(secs => :grace)
           THEN 'past its deadline'
         WHEN o.lease_until < clock_timestamp() - make_interval(secs => :grace)
           THEN 'its lease ran out and nobody took it'
         WHEN o.lease_until IS NULL
              AND o.run_after < clock_timestamp() - make_interval(secs => :grace)
           THEN 'due, and nobody takes it' END
"""
_COLUMNS = f"""
    SELECT o.id, o.kind, o.subject_kind, o.subject_id, s.name AS subject_name, z.name AS zone,
           o.tenant_id, o.step, o.target, coalesce(o.outcome, 'live') AS state,
           {_STUCK} AS stuck, o.attempt, o.error, o.request_id, o.lease_owner, o.lease_until,
           o.run_after, o.deadline, o.cancel_requested_at, o.created_at, o.finished_at,
           extract(epoch FROM coalesce(o.finished_at, clock_timestamp()) - o.created_at)
               ::double precision AS seconds,
           o.params
    FROM operations o JOIN zones z ON z.id = o.zone_id
    LEFT JOIN servers s ON o.subject_kind = 'server' AND s.id = o.subject_id
"""
_LIST = text(f"""
    SELECT * FROM ({_COLUMNS}) AS o
    WHERE (NOT :live OR o.state = 'live') AND (NOT :stuck OR o.stuck IS NOT NULL)
    ORDER BY o.id DESC LIMIT :limit
""")
_FIND = text(f"{_COLUMNS} WHERE o.id = :id")
_EVENTS = """
    SELECT e.at, e.operation_id, o.kind, e.step, e.level, e.actor, e.message, o.request_id,
           e.details
    FROM operation_events e JOIN operations o ON o.id = e.operation_id
"""
_EVENTS_OF = text(f"{_EVENTS} WHERE o.id = :id ORDER BY e.at, e.id")
_TIMELINE = text(f"""
    {_EVENTS} WHERE o.subject_kind = :subject_kind AND o.subject_id = :subject_id
    ORDER BY e.at, e.id
""")


@dataclass(frozen=True, slots=True)
class OperationSummary:
    """An operation. ``state``: live, done, failed or cancelled; ``stuck``: why, None when not.

    ``seconds`` is how long it took, or takes so far. Times in UTC.
    """

    id: int
    kind: str
    subject_kind: str
    subject_id: int
    subject_name: str | None
    zone: str
    tenant_id: str | None
    step: str
    target: str
    state: str
    stuck: str | None
    attempt: int
    error: str | None
    request_id: str
    lease_owner: str | None
    lease_until: datetime | None
    run_after: datetime
    deadline: datetime | None
    cancel_requested_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    seconds: float
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a timeline."""

    at: datetime
    operation_id: int
    kind: str
    step: str
    level: str
    actor: str
    message: str
    request_id: str
    details: dict[str, Any]


def list_all(
    conn: Connection, *, grace: float, live: bool = False, stuck: bool = False, limit: int = 100
) -> list[OperationSummary]:
    """Operations, newest first. ``grace``: seconds of lease and sweep that no one need explain."""
    values = {"grace": grace, "live": live or stuck, "stuck": stuck, "limit": limit}
    return [OperationSummary(*row) for row in conn.execute(_LIST, values)]


def find(conn: Connection, operation_id: int, *, grace: float) -> OperationSummary | None:
    """An operation by id; None when there is none such."""
    row = conn.execute(_FIND, {"id": operation_id, "grace": grace}).first()
    return None if row is None else OperationSummary(*row)


def events(conn: Connection, operation_id: int) -> list[Event]:
    """What happened in an operation, in its order."""
    return [Event(*row) for row in conn.execute(_EVENTS_OF, {"id": operation_id})]


def timeline(conn: Connection, subject_kind: str, subject_id: int) -> list[Event]:
    """What happened to a subject in all its operations, in its order."""
    values = {"subject_kind": subject_kind, "subject_id": subject_id}
    return [Event(*row) for row in conn.execute(_TIMELINE, values)]
