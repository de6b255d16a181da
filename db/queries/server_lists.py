"""Lists of servers: one SQL statement each, whatever is asked for and whatever is in them.

A statement is put together from constant fragments; what clients sent is always bound. Without
``changes_since`` the index of live servers gives the order, with it the index of changes the rows.

A name may be a regular expression (D53). Postgres runs it, inside :data:`MOST_MILLISECONDS`: its
engine backtracks only for back references, but compiling some expressions takes for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import DBAPIError

from db.queries.servers import DETAIL, ServerDetail
from db.scope import Scope

MOST_MILLISECONDS = 1000  # of a list by an expression


class BadExpression(Exception):  # noqa: N818
    """The name is no regular expression."""


class CostlyExpression(Exception):  # noqa: N818
    """The regular expression takes too long."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which servers; None asks for nothing (R139, R140). ``changes_since`` adds deleted ones."""

    image_id: int | None = None
    flavor_id: int | None = None
    name_prefix: str | None = None
    name_expression: str | None = None  # matched from the start of the name
    vm_state: str | None = None
    task_state: str | None = None
    changes_since: datetime | None = None

    def given(self) -> dict[str, Any]:
        """What is asked for."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ServerBrief:
    """What the brief list shows (R137)."""

    id: int
    uuid: str
    name: str


EVERYTHING = Wanted()
_BRIEF = "SELECT s.id, s.uuid::text AS uuid, s.name FROM servers s"
_CONDITIONS = {
    "image_id": "s.image_id = :image_id",
    "flavor_id": "s.flavor_id = :flavor_id",
    "name_prefix": "starts_with(s.name, :name_prefix)",
    "name_expression": "regexp_instr(s.name, :name_expression) = 1",
    "vm_state": "s.vm_state = :vm_state",
    "task_state": "s.task_state = :task_state",
    "changes_since": "s.updated_at > :changes_since",  # strictly (D52)
}
_MARKERS = {int: "s.id = :marker", str: "s.uuid = CAST(:marker AS uuid)"}
_BOUND = text("SELECT set_config('statement_timeout', :milliseconds, true)")
_INVALID, _CANCELLED = "2201B", "57014"  # SQLSTATE


def list_detail(
    conn: Connection, scope: Scope, wanted: Wanted = EVERYTHING, *,
    marker: int | str | None = None, limit: int = 1000,
) -> list[ServerDetail] | None:  # fmt: skip
    """Servers, newest first, after ``marker``, an id or UUID (R40-R49, D68).

    None when the marker is not among those wanted (D11). An expression must be asked for in a
    transaction of its own. Raises BadExpression, CostlyExpression.
    """
    rows = _rows(conn, DETAIL, scope, wanted, marker, limit)
    return None if rows is None else [ServerDetail(*row) for row in rows]


def list_brief(
    conn: Connection, scope: Scope, wanted: Wanted = EVERYTHING, *,
    marker: int | str | None = None, limit: int = 1000,
) -> list[ServerBrief] | None:  # fmt: skip
    """As :func:`list_detail`, id, uuid and name only."""
    rows = _rows(conn, _BRIEF, scope, wanted, marker, limit)
    return None if rows is None else [ServerBrief(*row) for row in rows]


def _rows(
    conn: Connection, columns: str, scope: Scope, wanted: Wanted, marker: int | str | None,
    limit: int,
) -> list[Any] | None:  # fmt: skip
    given = wanted.given()
    values = {"tenant_id": scope.tenant_id, "zone_id": scope.zone_id, "limit": limit, **given}
    if marker is not None:
        values["marker"] = marker
    key = "" if marker is None else _MARKERS[type(marker)]
    try:
        if wanted.name_expression is not None:
            conn.execute(_BOUND, {"milliseconds": str(MOST_MILLISECONDS)})
        rows = list(conn.execute(_page(columns, tuple(given), key), values))
        if not rows and key and conn.execute(_marked(tuple(given), key), values).first() is None:
            return None
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state == _INVALID:
            raise BadExpression(wanted.name_expression) from None
        if state == _CANCELLED and wanted.name_expression is not None:
            raise CostlyExpression(wanted.name_expression) from None
        raise
    return rows


@lru_cache(maxsize=256)
def _page(columns: str, given: tuple[str, ...], key: str) -> TextClause:
    after = f"AND (s.created_at, s.id) < ({_place(given, key)})" if key else ""
    order = "ORDER BY s.created_at DESC, s.id DESC LIMIT :limit"
    return text(f"{columns} WHERE {_where(given)} {after} {order}")


@lru_cache(maxsize=256)
def _marked(given: tuple[str, ...], key: str) -> TextClause:
    return text(_place(given, key))


def _place(given: tuple[str, ...], key: str) -> str:
    """The place in the order of the server that the marker names, if that is wanted too."""
    return f"SELECT s.created_at, s.id FROM servers s WHERE {_where(given)} AND {key}"


def _where(given: tuple[str, ...]) -> str:
    live = () if "changes_since" in given else ("s.deleted_at IS NULL",)
    wanted = (_CONDITIONS[name] for name in given)
    scope = ("s.tenant_id = :tenant_id", "s.zone_id = :zone_id")
    return " AND ".join((*scope, *live, *wanted))
