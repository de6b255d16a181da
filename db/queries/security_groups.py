"""Security groups as clients see them: groups with their rules in one statement (R237-R254)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from db.scope import Scope

_COLUMNS = """
    g.id, g.tenant_id, g.name, g.description,
    (SELECT jsonb_agg(jsonb_build_object('id', r.id, 'group_id', r.group_id,
                'protocol', r.protocol, 'from_port', r.from_port, 'to_port', r.to_port,
                'cidr', r.cidr::text, 'source', o.name) ORDER BY r.id)
       FROM security_group_rules r LEFT JOIN security_groups o ON o.id = r.source_group_id
      WHERE r.group_id = g.id) AS rules
"""
_OWNED = "g.tenant_id = :tenant_id AND g.zone_id = :zone_id"
_ORDER = 'ORDER BY g.name COLLATE "C"'
_LIST = text(f"""
    SELECT {_COLUMNS} FROM security_groups g
    WHERE {_OWNED} AND g.name = coalesce(CAST(:name AS text), g.name) {_ORDER}
""")
_FIND = text(f"SELECT {_COLUMNS} FROM security_groups g WHERE {_OWNED} AND g.id = :id")
# A server without groups gives one row of nulls, no server none.
_OF_SERVER = text(f"""
    SELECT {_COLUMNS} FROM servers s
    LEFT JOIN server_security_groups m ON m.server_id = s.id
    LEFT JOIN security_groups g ON g.id = m.group_id
    WHERE s.tenant_id = :tenant_id AND s.zone_id = :zone_id AND s.deleted_at IS NULL
      AND (s.id = CAST(:id AS bigint) OR s.uuid = CAST(:uuid AS uuid)) {_ORDER}
""")


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule. ``source`` is the name of a group of the same tenant; null where ``cidr`` is not."""

    id: int
    group_id: int
    protocol: str | None
    from_port: int | None
    to_port: int | None
    cidr: str | None
    source: str | None


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group with its rules, by id."""

    id: int
    tenant_id: str
    name: str
    description: str
    rules: tuple[RuleRow, ...]


def _values(scope: Scope) -> dict[str, Any]:
    return {"tenant_id": scope.tenant_id, "zone_id": scope.zone_id}


def _groups(rows: Iterable[Row[Any]]) -> list[GroupRow]:
    return [
        GroupRow(
            row.id, row.tenant_id, row.name, row.description,
            tuple(RuleRow(**rule) for rule in row.rules or ()),
        )
        for row in rows
        if row.id is not None
    ]  # fmt: skip


def list_all(conn: Connection, scope: Scope, name: str | None = None) -> list[GroupRow]:
    """The tenant's groups by name (D68), or the one of ``name``."""
    return _groups(conn.execute(_LIST, {**_values(scope), "name": name}))


def find(conn: Connection, scope: Scope, group_id: int) -> GroupRow | None:
    """A group by id; None when the scope has none such."""
    found = _groups(conn.execute(_FIND, {**_values(scope), "id": group_id}))
    return found[0] if found else None


def of_server(conn: Connection, scope: Scope, server_id: int | str) -> list[GroupRow] | None:
    """The groups of a live server by name (D78); None when the scope has no such server."""
    by_id = isinstance(server_id, int)
    values = {"id": server_id if by_id else None, "uuid": None if by_id else server_id}
    rows = conn.execute(_OF_SERVER, {**_values(scope), **values}).all()
    return _groups(rows) if rows else None
