"""Images as clients see them (R156-R172): one SQL statement each for one image and for a list.

A list's statement is put together from constant fragments; what clients sent is always bound.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, TextClause, text

from db.scope import Scope

#: Metadata keys under which views show what an image's record says (D43): never a client's item.
RECORD_KEYS = ("kernel_id", "min_disk", "min_ram", "owner", "ramdisk_id")

_DETAIL = """
    SELECT i.id, i.tenant_id, i.name, i.kind, i.status, i.progress, i.min_disk_gb, i.min_ram_mb,
           i.kernel_id, i.ramdisk_id, i.source_server_uuid, i.created_at, i.updated_at,
           (SELECT jsonb_object_agg(m.key, m.value) FROM image_metadata m
             WHERE m.image_id = i.id) AS metadata
    FROM images i
"""
_BRIEF = "SELECT i.id, i.name FROM images i"
# A tenant sees what is public and what is its own (R159, D29).
_VISIBLE = "i.zone_id = :zone_id AND (i.tenant_id IS NULL OR i.tenant_id = :tenant_id)"
_LIVE = "i.deleted_at IS NULL"
_BY_ID = text(f"{_DETAIL} WHERE {_VISIBLE} AND {_LIVE} AND i.id = :id")
_CONDITIONS = {
    "source_server_id": "i.source_server_id = :source_server_id",
    "source_server_uuid": "i.source_server_uuid = :source_server_uuid",
    "name": "i.name = :name",
    "status": "i.status = :status",
    "snapshots": "i.source_server_uuid IS NOT NULL",
    "nothing": "false",
    "changes_since": "i.updated_at > :changes_since",  # strictly (D52)
}


@dataclass(frozen=True, slots=True)
class ImageDetail:
    """What the detail view shows. ``tenant_id`` None: public. Times in UTC."""

    id: int
    tenant_id: str | None
    name: str
    kind: str
    status: str
    progress: int
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which images (R167); None and False ask for nothing. ``changes_since`` adds deleted ones."""

    source_server_id: int | None = None
    source_server_uuid: str | None = None
    name: str | None = None
    status: str | None = None
    snapshots: bool = False  # only those made of servers (R168)
    nothing: bool = False  # none at all
    changes_since: datetime | None = None

    def given(self) -> dict[str, Any]:
        """What is asked for."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {n: value for n, value in values.items() if value is not None and value is not False}


EVERYTHING = Wanted()


def find(conn: Connection, scope: Scope, image_id: int) -> ImageDetail | None:
    """A visible image by id; None when the scope has none such."""
    row = conn.execute(_BY_ID, {**_values(scope), "id": image_id}).first()
    return None if row is None else ImageDetail(*row)


def list_detail(
    conn: Connection, scope: Scope, wanted: Wanted = EVERYTHING, *, marker: int | None = None,
    limit: int = 1000,
) -> list[ImageDetail] | None:  # fmt: skip
    """Visible images, newest first, after ``marker`` (R40-R49, D68).

    None when the marker is not among those wanted (D11).
    """
    rows = _rows(conn, _DETAIL, scope, wanted, marker, limit)
    return None if rows is None else [ImageDetail(*row) for row in rows]


def list_brief(
    conn: Connection, scope: Scope, wanted: Wanted = EVERYTHING, *, marker: int | None = None,
    limit: int = 1000,
) -> list[ImageBrief] | None:  # fmt: skip
    """As :func:`list_detail`, id and name only."""
    rows = _rows(conn, _BRIEF, scope, wanted, marker, limit)
    return None if rows is None else [ImageBrief(*row) for row in rows]


def _rows(
    conn: Connection, columns: str, scope: Scope, wanted: Wanted, marker: int | None, limit: int
) -> list[Any] | None:
    given = wanted.given()
    names, marked = tuple(given), marker is not None
    values = {**_values(scope), **given, "limit": limit, "marker": marker}
    rows = list(conn.execute(_page(columns, names, marked=marked), values))
    if marked and not rows and conn.execute(text(_place(names)), values).first() is None:
        return None
    return rows


@lru_cache(maxsize=256)
def _page(columns: str, names: tuple[str, ...], *, marked: bool) -> TextClause:
    after = f"AND (i.created_at, i.id) < ({_place(names)})" if marked else ""
    order = "ORDER BY i.created_at DESC, i.id DESC LIMIT :limit"
    return text(f"{columns} WHERE {_where(names)} {after} {order}")


def _place(names: tuple[str, ...]) -> str:
    """The place in the order of the image that the marker names, if that is wanted too."""
    return f"SELECT i.created_at, i.id FROM images i WHERE {_where(names)} AND i.id = :marker"


def _where(names: tuple[str, ...]) -> str:
    live = () if "changes_since" in names else (_LIVE,)
    return " AND ".join((_VISIBLE, *live, *(_CONDITIONS[name] for name in names)))


def _values(scope: Scope) -> dict[str, Any]:
    return {"tenant_id": scope.tenant_id, "zone_id": scope.zone_id}
