"""A server as clients see it, in one SQL statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from db.scope import Scope

# Everything that the detail view shows, in one row; nothing per row runs in Python.
DETAIL = """
    SELECT s.id, s.uuid::text AS uuid, s.tenant_id, s.user_id, s.name, s.flavor_id, s.image_id,
           s.key_name, s.config_drive, s.vm_state, s.task_state, s.created_at, s.updated_at,
           s.fault_code, s.fault_message, h.name AS host,
           (SELECT jsonb_object_agg(m.key, m.value) FROM server_metadata m
             WHERE m.server_id = s.id) AS metadata,
           (SELECT jsonb_agg(jsonb_build_object('id', g.id, 'name', g.name) ORDER BY g.name)
              FROM server_security_groups sg JOIN security_groups g ON g.id = sg.group_id
             WHERE sg.server_id = s.id) AS security_groups,
           (SELECT jsonb_build_object('network', n.name, 'address', host(f.address))
              FROM fixed_addresses f JOIN networks n ON n.id = f.network_id
             WHERE f.server_id = s.id) AS fixed,
           (SELECT jsonb_agg(host(p.address) ORDER BY p.automatic DESC, p.associated_at, p.id)
              FROM public_addresses p WHERE p.server_id = s.id) AS public
    FROM servers s LEFT JOIN hosts h ON h.id = s.host_id
"""
_LIVE = "WHERE s.tenant_id = :tenant_id AND s.zone_id = :zone_id AND s.deleted_at IS NULL"
_BY_ID = text(f"{DETAIL} {_LIVE} AND s.id = :id")
_BY_UUID = text(f"{DETAIL} {_LIVE} AND s.uuid = CAST(:uuid AS uuid)")


@dataclass(frozen=True, slots=True)
class ServerDetail:
    """What the detail view shows. Times in UTC; ``public`` has the automatic address first."""

    id: int
    uuid: str
    tenant_id: str
    user_id: str
    name: str
    flavor_id: int
    image_id: int
    key_name: str | None
    config_drive: bool
    vm_state: str
    task_state: str | None
    created_at: datetime
    updated_at: datetime
    fault_code: int | None
    fault_message: str | None
    host: str | None
    metadata: dict[str, str] | None
    security_groups: list[dict[str, Any]] | None
    fixed: dict[str, str] | None
    public: list[str] | None


def find(conn: Connection, scope: Scope, server_id: int | str) -> ServerDetail | None:
    """A live server by integer id or by UUID (R94); None when the scope has none such."""
    query, key = (_BY_ID, "id") if isinstance(server_id, int) else (_BY_UUID, "uuid")
    values = {"tenant_id": scope.tenant_id, "zone_id": scope.zone_id, key: server_id}
    row = conn.execute(query, values).first()
    return None if row is None else ServerDetail(*row)
