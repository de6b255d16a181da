"""Servers of all tenants, also deleted ones, as the operator sees them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

_COLUMNS = """
    SELECT s.id, s.uuid::text AS uuid, s.name, s.tenant_id, t.name AS tenant, z.name AS zone,
           s.vm_state || coalesce('(' || s.task_state || ')', '') AS status, s.power_state,
           h.name AS host, host(f.address) AS fixed,
           (SELECT coalesce(jsonb_agg(host(p.address)
                                      ORDER BY p.automatic DESC, p.associated_at, p.id), '[]')
              FROM public_addresses p WHERE p.server_id = s.id) AS public,
           s.flavor_name AS flavor, s.vcpus, s.ram_mb, s.disk_gb, s.root_gb, s.image_id,
           i.name AS image, s.key_name, s.generation, s.fault_message, s.created_at, s.updated_at,
           s.launched_at, s.deleted_at
    FROM servers s JOIN tenants t ON t.id = s.tenant_id JOIN zones z ON z.id = s.zone_id
    JOIN images i ON i.id = s.image_id
    LEFT JOIN hosts h ON h.id = s.host_id
    LEFT JOIN fixed_addresses f ON f.server_id = s.id
"""
_LIST = text(f"""
    {_COLUMNS}
    WHERE (CAST(:tenant_id AS text) IS NULL OR s.tenant_id = :tenant_id)
      AND (CAST(:host AS text) IS NULL OR h.name = :host)
      AND CASE WHEN CAST(:status AS text) IS NULL THEN s.deleted_at IS NULL
               ELSE s.vm_state = upper(:status)
                    OR lower(s.vm_state || coalesce('(' || s.task_state || ')', ''))
                       = lower(:status) END
    ORDER BY s.created_at DESC, s.id DESC LIMIT :limit
""")
_BY_ID = text(f"{_COLUMNS} WHERE s.id = :key")
_BY_UUID = text(f"{_COLUMNS} WHERE s.uuid = CAST(:key AS uuid)")
_BY_NAME = text(f"{_COLUMNS} WHERE s.name = :key AND s.deleted_at IS NULL ORDER BY s.id")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ServerSummary:
    """A server. ``public`` has the automatic address first. Times in UTC."""

    id: int
    uuid: str
    name: str
    tenant_id: str
    tenant: str
    zone: str
    status: str
    power_state: str | None
    host: str | None
    fixed: str | None
    public: list[str]
    flavor: str
    vcpus: int
    ram_mb: int
    disk_gb: int
    root_gb: int
    image_id: int
    image: str
    key_name: str | None
    generation: int
    fault_message: str | None
    created_at: datetime
    updated_at: datetime
    launched_at: datetime | None
    deleted_at: datetime | None


def list_all(
    conn: Connection,
    *,
    tenant_id: str | None = None,
    host: str | None = None,
    status: str | None = None,
    limit: int = 1000,
) -> list[ServerSummary]:
    """Live servers, newest first; with a status ("ERROR", "BUILD(spawning)") those that have it."""
    values = {"tenant_id": tenant_id, "host": host, "status": status, "limit": limit}
    return [ServerSummary(*row) for row in conn.execute(_LIST, values)]


def find(conn: Connection, key: str) -> list[ServerSummary]:
    """Servers by integer id or UUID, also deleted; by name, live ones only: maybe several."""
    query = _BY_UUID if _UUID.fullmatch(key) else _BY_NAME
    value: int | str = key
    if key.isascii() and key.isdigit():
        query, value = _BY_ID, min(int(key), _LARGEST_ID)
    return [ServerSummary(*row) for row in conn.execute(query, {"key": value})]
