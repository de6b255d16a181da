"""Locks on servers whose groups or addresses change, and the mark that such a change leaves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from db.queries.server_actions import Action, NotNow
from db.queries.server_changes import lock_live
from db.scope import Scope

_LOCK = text("""
    SELECT s.id, h.name AS host FROM servers s LEFT JOIN hosts h ON h.id = s.host_id
    WHERE s.id = ANY(:ids) ORDER BY s.id FOR UPDATE OF s
""")
_TOUCH = text("""
    UPDATE servers SET generation = generation + 1, updated_at = clock_timestamp()
    WHERE id = ANY(:ids) AND deleted_at IS NULL
""")


class UnknownServer(Exception):  # noqa: N818
    """The scope has no such live server, or not any more."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A server whose row is locked, live or not. ``host`` is None where it has no place."""

    id: int
    host: str | None


def lock_for(
    conn: Connection, scope: Scope, server_id: int, action: Action, refuse: Collection[str]
) -> Row[Any]:
    """As :func:`db.queries.server_changes.lock_live`, for an action.

    Raises UnknownServer; NotNow while the server is at one of the tasks ``refuse``.
    """
    row = lock_live(conn, scope, server_id)
    if row is None:
        raise UnknownServer(str(server_id))
    if row.task_state in refuse:
        raise NotNow(action, row.vm_state, row.task_state, because_of_task=True)
    return row


def lock_all(conn: Connection, ids: Collection[int]) -> list[Locked]:
    """Lock servers by id, in the order of their ids."""
    return [Locked(*row) for row in conn.execute(_LOCK, {"ids": list(ids)})]


def touch(conn: Connection, ids: Collection[int]) -> None:
    """Live servers are changed now, and their hosts have something to apply (R117)."""
    if ids:
        conn.execute(_TOUCH, {"ids": list(ids)})
