"""Locks on servers whose groups or addresses change, and the mark that such a change leaves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, text

from db.queries.server_changes import lock_tenant
from db.scope import Scope

_FIND = text("""
    SELECT id FROM servers
    WHERE tenant_id = :tenant_id AND zone_id = :zone_id AND deleted_at IS NULL
      AND (id = CAST(:id AS bigint) OR uuid = CAST(:uuid AS uuid))
""")
_LOCK = text("""
    SELECT s.id, s.task_state, h.name AS host FROM servers s LEFT JOIN hosts h ON h.id = s.host_id
    WHERE s.id = ANY(:ids) ORDER BY s.id FOR NO KEY UPDATE OF s
""")
_TOUCH = text("""
    UPDATE servers SET generation = generation + 1, updated_at = clock_timestamp()
    WHERE id = ANY(:ids) AND deleted_at IS NULL
""")


class UnknownServer(Exception):  # noqa: N818
    """The scope has no such live server."""


class StateForbids(Exception):  # noqa: N818
    """The server does what must end first (R155); the text is its task."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A server whose row is locked. ``host`` is None until it is placed."""

    id: int
    task_state: str | None
    host: str | None


def lock(
    conn: Connection,
    scope: Scope,
    which: int | str,
    *,
    refuse: Collection[str],
    others: Collection[int] = (),
) -> tuple[Locked, list[Locked]]:
    """Lock the tenant, a live server by id or UUID, and ``others`` by id, whatever their state.

    Under its tenant's lock a live server stays live. Raises UnknownServer; StateForbids when the
    server runs one of the tasks ``refuse``.
    """
    lock_tenant(conn, scope.tenant_id)
    by_id = isinstance(which, int)
    values = {
        "tenant_id": scope.tenant_id,
        "zone_id": scope.zone_id,
        "id": which if by_id else None,
        "uuid": None if by_id else which,
    }
    server_id = conn.execute(_FIND, values).scalar()
    if server_id is None:
        raise UnknownServer(str(which))
    locked = {each.id: each for each in lock_all(conn, {server_id, *others})}
    server = locked.pop(server_id)
    if server.task_state in refuse:
        raise StateForbids(server.task_state)
    return server, list(locked.values())


def lock_all(conn: Connection, ids: Collection[int]) -> list[Locked]:
    """Lock servers by id, in the order of their ids."""
    return [Locked(*row) for row in conn.execute(_LOCK, {"ids": list(ids)})]


def touch(conn: Connection, ids: Collection[int]) -> None:
    """Live servers are changed now, and their hosts have something to apply (R117)."""
    if ids:
        conn.execute(_TOUCH, {"ids": list(ids)})
