"""Tenants, as the operator makes them, and what activation gives each (R12-R15, R238, D6)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_INSERT = text("""
    INSERT INTO tenants (id, name, description) VALUES (:id, :name, :description)
    ON CONFLICT DO NOTHING RETURNING id
""")
# The group and its rules in the order of R238; ids ascend in it (D6).
_ACTIVATE = text("""
    WITH made AS (
        INSERT INTO security_groups (zone_id, tenant_id, name, description)
        SELECT z.id, t.id, 'default', 'default' FROM tenants t CROSS JOIN zones z
        WHERE t.id = coalesce(CAST(:tenant_id AS text), t.id)
          AND z.id = coalesce(CAST(:zone_id AS bigint), z.id)
        ORDER BY t.id, z.id
        ON CONFLICT DO NOTHING RETURNING id)
    INSERT INTO security_group_rules (group_id, protocol, from_port, to_port, cidr, source_group_id)
    SELECT m.id, r.protocol, r.from_port, r.to_port, CAST(r.cidr AS cidr),
           CASE WHEN r.cidr IS NULL THEN m.id END
    FROM made m CROSS JOIN (VALUES
        (1, 'icmp', -1, -1, '0.0.0.0/0'), (2, 'tcp', 22, 22, '0.0.0.0/0'),
        (3, 'tcp', 80, 80, '0.0.0.0/0'), (4, 'tcp', 443, 443, '0.0.0.0/0'),
        (5, 'icmp', -1, -1, NULL), (6, 'tcp', 1, 65535, NULL), (7, 'udp', 1, 65535, NULL)
    ) AS r (place, protocol, from_port, to_port, cidr)
    ORDER BY m.id, r.place
""")
_SET_ENABLED = text("""
    UPDATE tenants SET enabled = :enabled, updated_at = clock_timestamp() WHERE id = :tenant_id
""")
_END_SCOPES = text("DELETE FROM token_scopes WHERE tenant_id = :tenant_id")
_COLUMNS = """
    SELECT t.id, t.name, t.description, t.enabled, t.created_at,
           (SELECT count(DISTINCT r.user_id) FROM user_roles r WHERE r.tenant_id = t.id) AS users,
           (SELECT count(*) FROM servers s WHERE s.tenant_id = t.id AND s.deleted_at IS NULL)
               AS servers
    FROM tenants t
"""
_LIST = text(f"{_COLUMNS} ORDER BY t.name")
_FIND = text(f"{_COLUMNS} WHERE t.id = :key OR t.name = :key ORDER BY t.id = :key DESC LIMIT 1")


@dataclass(frozen=True, slots=True)
class TenantSummary:
    """A tenant with the number of its users and live servers. Times in UTC."""

    id: str
    name: str
    description: str
    enabled: bool
    created_at: datetime
    users: int
    servers: int


def new_id() -> str:
    """An id in the reference's form: 14 digits, the first not 0."""
    return str(secrets.randbelow(9 * 10**13) + 10**13)


def create(conn: Connection, name: str, *, id: str | None = None, description: str = "") -> bool:
    """Make and activate a tenant; False when its name or id is taken."""
    values = {"id": id or new_id(), "name": name, "description": description}
    made = conn.execute(_INSERT, values).scalar()
    if made is None:
        return False
    activate(conn, made)
    return True


def activate(conn: Connection, tenant_id: str) -> None:
    """The tenant has a group ``default`` with its seven rules in every zone (R238, D6).

    A zone where it has one already is left alone.
    """
    conn.execute(_ACTIVATE, {"tenant_id": tenant_id, "zone_id": None})


def activate_in_zone(conn: Connection, zone_id: int) -> None:
    """As :func:`activate`, for all tenants in a zone that came later."""
    conn.execute(_ACTIVATE, {"tenant_id": None, "zone_id": zone_id})


def set_enabled(conn: Connection, tenant_id: str, *, enabled: bool) -> None:
    """Let a tenant's users in, or end the scope of all their tokens and let in no more."""
    conn.execute(_SET_ENABLED, {"tenant_id": tenant_id, "enabled": enabled})
    if not enabled:
        conn.execute(_END_SCOPES, {"tenant_id": tenant_id})


def find(conn: Connection, name_or_id: str) -> TenantSummary | None:
    """A tenant by id, else by name; None when there is none such."""
    row = conn.execute(_FIND, {"key": name_or_id}).first()
    return None if row is None else TenantSummary(*row)


def list_all(conn: Connection) -> list[TenantSummary]:
    """All tenants, by name."""
    return [TenantSummary(*row) for row in conn.execute(_LIST)]
