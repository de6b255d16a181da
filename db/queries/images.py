"""Images as clients see them (R156-R172): one SQL statement each for detail and lists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from db.scope import Scope

_DETAIL = """
    SELECT i.id, i.tenant_id, i.name, i.kind, i.status, i.min_disk_gb, i.min_ram_mb, i.kernel_id,
           i.ramdisk_id, i.source_server_uuid, i.created_at, i.updated_at,
           (SELECT jsonb_object_agg(m.key, m.value) FROM image_metadata m
             WHERE m.image_id = i.id) AS metadata
    FROM images i
"""
# A tenant sees what is public and what is its own (R159, D29).
_VISIBLE = """
    WHERE i.zone_id = :zone_id AND i.deleted_at IS NULL
      AND (i.tenant_id IS NULL OR i.tenant_id = :tenant_id)
"""
_ORDER = "ORDER BY i.created_at DESC, i.id DESC LIMIT :limit"
_AFTER = "AND (i.created_at, i.id) < (:marker_at, :marker_id)"
_BRIEF = f"SELECT i.id, i.name FROM images i {_VISIBLE}"

_BY_ID = text(f"{_DETAIL} {_VISIBLE} AND i.id = :id")
_LIST = text(f"{_DETAIL} {_VISIBLE} {_ORDER}")
_LIST_AFTER = text(f"{_DETAIL} {_VISIBLE} {_AFTER} {_ORDER}")
_BRIEF_FIRST = text(f"{_BRIEF} {_ORDER}")
_BRIEF_AFTER = text(f"{_BRIEF} {_AFTER} {_ORDER}")
_MARKER = text(f"""
    SELECT i.created_at AS marker_at, i.id AS marker_id FROM images i {_VISIBLE} AND i.id = :id
""")


@dataclass(frozen=True, slots=True)
class ImageDetail:
    """What the detail view shows. ``tenant_id`` None: public. Times in UTC."""

    id: int
    tenant_id: str | None
    name: str
    kind: str
    status: str
    min_disk_gb: int
    min_ram_mb: int
    kernel_id: int | None
    ramdisk_id: int | None
    source_server_uuid: str | None
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, str | None] | None


@dataclass(frozen=True, slots=True)
class ImageBrief:
    """What the brief list shows."""

    id: int
    name: str


def _values(scope: Scope) -> dict[str, Any]:
    return {"tenant_id": scope.tenant_id, "zone_id": scope.zone_id}


def find(conn: Connection, scope: Scope, image_id: int) -> ImageDetail | None:
    """A visible image by id; None when the scope has none such."""
    row = conn.execute(_BY_ID, {**_values(scope), "id": image_id}).first()
    return None if row is None else ImageDetail(*row)


def _page(conn: Connection, scope: Scope, marker: int | None, limit: int) -> dict[str, Any] | None:
    values = {**_values(scope), "limit": limit}
    if marker is None:
        return values
    row = conn.execute(_MARKER, {**_values(scope), "id": marker}).first()
    return None if row is None else {**values, **row._mapping}


def list_detail(
    conn: Connection, scope: Scope, *, marker: int | None = None, limit: int = 1000
) -> list[ImageDetail] | None:
    """Visible images, newest first, after ``marker`` (R40-R49); None: the marker is not there."""
    values = _page(conn, scope, marker, limit)
    if values is None:
        return None
    rows = conn.execute(_LIST if marker is None else _LIST_AFTER, values)
    return [ImageDetail(*row) for row in rows]


def list_brief(
    conn: Connection, scope: Scope, *, marker: int | None = None, limit: int = 1000
) -> list[ImageBrief] | None:
    """As :func:`list_detail`, id and name only."""
    values = _page(conn, scope, marker, limit)
    if values is None:
        return None
    rows = conn.execute(_BRIEF_FIRST if marker is None else _BRIEF_AFTER, values)
    return [ImageBrief(*row) for row in rows]
