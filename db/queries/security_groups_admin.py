"""Security groups of all tenants, as the operator sees them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

_COLUMNS = """
    SELECT g.id, g.name, g.tenant_id, t.name AS tenant, z.name AS zone, g.description,
           (SELECT count(*) FROM security_group_rules r WHERE r.group_id = g.id) AS rules,
           (SELECT count(*) FROM server_security_groups m JOIN servers s ON s.id = m.server_id
             WHERE m.group_id = g.id AND s.deleted_at IS NULL) AS servers,
           (SELECT coalesce(jsonb_agg(DISTINCT o.name), '[]') FROM security_group_rules r
              JOIN security_groups o ON o.id = r.group_id WHERE r.source_group_id = g.id)
               AS source_of,
           g.generation
    FROM security_groups g JOIN tenants t ON t.id = g.tenant_id JOIN zones z ON z.id = g.zone_id
    WHERE (CAST(:tenant_id AS text) IS NULL OR g.tenant_id = :tenant_id)
"""
_ORDER = 'ORDER BY t.name, z.id, g.name COLLATE "C"'
_LIST = text(f"{_COLUMNS} {_ORDER}")
_BY_ID = text(f"{_COLUMNS} AND g.id = :key")
_BY_NAME = text(f"{_COLUMNS} AND g.name = :key {_ORDER}")
_RULES = text("""
    SELECT r.id, r.protocol, r.from_port, r.to_port, r.cidr::text AS cidr,
           r.source_group_id AS source_id, o.name AS source
    FROM security_group_rules r LEFT JOIN security_groups o ON o.id = r.source_group_id
    WHERE r.group_id = :id ORDER BY r.id
""")
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """A group: how many rules and live servers it has, and whose rules have it as a source."""

    id: int
    name: str
    tenant_id: str
    tenant: str
    zone: str
    description: str
    rules: int
    servers: int
    source_of: list[str]
    generation: int


@dataclass(frozen=True, slots=True)
class GroupRule:
    """A rule; ports of tcp and udp, type and code of icmp (-1: any), or None of no protocol."""

    id: int
    protocol: str | None
    from_port: int | None
    to_port: int | None
    cidr: str | None
    source_id: int | None
    source: str | None


def list_all(conn: Connection, *, tenant_id: str | None = None) -> list[GroupSummary]:
    """Groups by tenant, zone and name."""
    return [GroupSummary(*row) for row in conn.execute(_LIST, {"tenant_id": tenant_id})]


def find(conn: Connection, key: str, *, tenant_id: str | None = None) -> list[GroupSummary]:
    """Groups by id, or else by name: maybe several, since a name is a tenant's and a zone's."""
    values = {"tenant_id": tenant_id}
    if key.isascii() and key.isdigit():
        row = conn.execute(_BY_ID, {**values, "key": min(int(key), _LARGEST_ID)}).first()
        if row is not None:
            return [GroupSummary(*row)]
    return [GroupSummary(*row) for row in conn.execute(_BY_NAME, {**values, "key": key})]


def rules(conn: Connection, group_id: int) -> list[GroupRule]:
    """A group's rules, by id."""
    return [GroupRule(*row) for row in conn.execute(_RULES, {"id": group_id})]
