"""Images that the operator offers to all tenants (R156-R159, D43).

Bytes lie in the image store once per checksum. Who places or removes a stored file does so under
:func:`lock_bytes`, in the transaction that writes the row, so that a file never goes while
somebody registers another image of the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, text

_LOCK_BYTES = text("SELECT pg_advisory_xact_lock(hashtextextended(:checksum, 0))")
_INSERT = text("""
    INSERT INTO images (zone_id, name, kind, status, progress, disk_format, size, virtual_size,
                        checksum, min_disk_gb, min_ram_mb, kernel_id, ramdisk_id)
    VALUES (:zone_id, :name, :kind, 'ACTIVE', 100, :disk_format, :size, :virtual_size,
            :checksum, :min_disk_gb, :min_ram_mb, :kernel_id, :ramdisk_id)
    RETURNING id
""")
_METADATA = text("""
    INSERT INTO image_metadata (image_id, key, value, system)
    SELECT :image_id, m.key, m.value, m.system
    FROM unnest(CAST(:keys AS text[]), CAST(:values AS text[]), CAST(:system AS boolean[]))
         AS m (key, value, system)
""")
_COLUMNS = """
    SELECT i.id, i.name, z.name AS zone, i.tenant_id, i.kind, i.status, i.disk_format, i.size,
           i.virtual_size, i.checksum, i.min_disk_gb, i.min_ram_mb, i.kernel_id, i.ramdisk_id,
           i.created_at,
           (SELECT count(*) FROM servers s WHERE s.image_id = i.id AND s.deleted_at IS NULL)
               AS servers
    FROM images i JOIN zones z ON z.id = i.zone_id
"""
_LIST = text(f"{_COLUMNS} WHERE i.deleted_at IS NULL ORDER BY i.id")
_FIND = text(f"{_COLUMNS} WHERE i.deleted_at IS NULL AND i.id = :id")
_LOCK = text("SELECT checksum FROM images WHERE id = :id AND deleted_at IS NULL FOR UPDATE")
_BOOTED_WITH = text("""
    SELECT id FROM images WHERE deleted_at IS NULL AND (kernel_id = :id OR ramdisk_id = :id)
    ORDER BY id
""")
_DELETE = text("""
    UPDATE images SET status = 'DELETED', progress = 0, deleted_at = clock_timestamp(),
           updated_at = clock_timestamp()
    WHERE id = :id
""")
# A live server may need its image's bytes again, on another host; a snapshot on its way to ACTIVE
# has its bytes in the store before its image says so.
_UNNEEDED = text("""
    SELECT c.checksum FROM unnest(CAST(:checksums AS text[])) AS c(checksum)
    WHERE NOT EXISTS (SELECT 1 FROM images i WHERE i.checksum = c.checksum AND i.deleted_at IS NULL)
      AND NOT EXISTS (
          SELECT 1 FROM images part
          JOIN images i ON part.id IN (i.id, i.kernel_id, i.ramdisk_id)
          JOIN servers s ON s.image_id = i.id
          WHERE part.checksum = c.checksum AND s.deleted_at IS NULL)
      AND NOT EXISTS (
          SELECT 1 FROM operations o WHERE o.finished_at IS NULL AND o.kind = 'snapshot'
             AND o.params ->> 'checksum' = c.checksum)
    ORDER BY c.checksum
""")


class StillUsed(Exception):  # noqa: N818
    """Other images boot with this kernel or ramdisk; ``ids`` are theirs."""

    def __init__(self, ids: list[int]) -> None:
        super().__init__(ids)
        self.ids = ids


@dataclass(frozen=True, slots=True)
class NewImage:
    """A public image whose bytes were inspected. ``system`` items are not a client's to change."""

    zone_id: int
    name: str
    kind: str
    disk_format: str
    size: int
    virtual_size: int
    checksum: str
    min_disk_gb: int = 0
    min_ram_mb: int = 0
    kernel_id: int | None = None
    ramdisk_id: int | None = None
    system: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageSummary:
    """An image; ``tenant_id`` None: public; ``servers``: how many live ones came from it."""

    id: int
    name: str
    zone: str
    tenant_id: str | None
    kind: str
    status: str
    disk_format: str
    size: int
    virtual_size: int
    checksum: str | None
    min_disk_gb: int
    min_ram_mb: int
    kernel_id: int | None
    ramdisk_id: int | None
    created_at: datetime
    servers: int


def lock_bytes(conn: Connection, checksum: str) -> None:
    """Nobody else places or removes the stored file of a checksum until the transaction ends."""
    conn.execute(_LOCK_BYTES, {"checksum": checksum})


def register(conn: Connection, new: NewImage) -> int:
    """Write an image that is ACTIVE at once; returns its id."""
    values = {
        "zone_id": new.zone_id,
        "name": new.name,
        "kind": new.kind,
        "disk_format": new.disk_format,
        "size": new.size,
        "virtual_size": new.virtual_size,
        "checksum": new.checksum,
        "min_disk_gb": new.min_disk_gb,
        "min_ram_mb": new.min_ram_mb,
        "kernel_id": new.kernel_id,
        "ramdisk_id": new.ramdisk_id,
    }
    image_id = int(conn.execute(_INSERT, values).scalar_one())
    items = {**new.system, **new.properties}
    conn.execute(
        _METADATA,
        {
            "image_id": image_id,
            "keys": list(items),
            "values": list(items.values()),
            "system": [key in new.system for key in items],
        },
    )
    return image_id


def find(conn: Connection, image_id: int) -> ImageSummary | None:
    """An image by id; None when there is none such."""
    row = conn.execute(_FIND, {"id": image_id}).first()
    return None if row is None else ImageSummary(*row)


def list_all(conn: Connection) -> list[ImageSummary]:
    """All images, by id."""
    return [ImageSummary(*row) for row in conn.execute(_LIST)]


def delete(conn: Connection, image_id: int) -> str | None:
    """Retire an image; servers that came from it stay. Returns its checksum, None: there is none.

    Raises StillUsed when other images boot with it. Creates that use it were waited for.
    """
    row = conn.execute(_LOCK, {"id": image_id}).first()
    if row is None:
        return None
    users = list(conn.execute(_BOOTED_WITH, {"id": image_id}).scalars())
    if users:
        raise StillUsed(users)
    conn.execute(_DELETE, {"id": image_id})
    return str(row.checksum or "")


def unneeded(conn: Connection, checksums: list[str]) -> list[str]:
    """Those whose stored bytes no image, live server or running snapshot needs, in order.

    It stays so under :func:`lock_bytes`.
    """
    return list(conn.execute(_UNNEEDED, {"checksums": checksums}).scalars())
