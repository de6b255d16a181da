"""What happens to a tenant's images: made from a server, finished, failed, deleted.

The bytes of an image have no owner: the sweeper removes a stored file as soon as no live image, no
live server and no running snapshot needs its checksum (``db.image_store``).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from db.queries import images
from db.scope import Scope

_LOCK = text("""
    SELECT tenant_id FROM images
    WHERE id = :id AND zone_id = :zone_id AND deleted_at IS NULL
      AND (tenant_id IS NULL OR tenant_id = :tenant_id) FOR UPDATE
""")
_DELETE = text("""
    UPDATE images SET status = 'DELETED', progress = 0, deleted_at = clock_timestamp(),
           updated_at = clock_timestamp() WHERE id = :id
""")
_SNAPSHOT = text("""
    INSERT INTO images (zone_id, tenant_id, name, kind, status, disk_format, min_disk_gb,
                        min_ram_mb, kernel_id, ramdisk_id, source_server_id, source_server_uuid)
    SELECT s.zone_id, s.tenant_id, :name, 'machine', 'SAVING', 'qcow2', i.min_disk_gb,
           i.min_ram_mb, i.kernel_id, i.ramdisk_id, s.id, s.uuid::text
    FROM servers s JOIN images i ON i.id = s.image_id WHERE s.id = :server_id
    RETURNING id, kernel_id, ramdisk_id, source_server_uuid
""")
# What a snapshot keeps of its server's image: a licence cannot be lost on the way.
_INHERITED = text("""
    SELECT m.key, m.value FROM image_metadata m JOIN servers s ON s.image_id = m.image_id
    WHERE s.id = :server_id AND m.key IN ('architecture', 'hp_image_license', 'os_type')
""")
_METADATA = text("""
    INSERT INTO image_metadata (image_id, key, value, system)
    SELECT :image_id, m.key, m.value, m.system
    FROM unnest(CAST(:keys AS text[]), CAST(:values AS text[]), CAST(:system AS boolean[]))
         AS m (key, value, system)
""")
_SAVING = text("SELECT EXISTS (SELECT 1 FROM images WHERE id = :id AND status = 'SAVING')")
_PROGRESS = text("""
    UPDATE images SET progress = :percent, updated_at = clock_timestamp()
    WHERE id = :id AND status = 'SAVING' AND progress < :percent
""")
_FINISH = text("""
    UPDATE images SET status = 'ACTIVE', progress = 100, checksum = :checksum, size = :size,
           virtual_size = :virtual_size, updated_at = clock_timestamp()
    WHERE id = :id AND status = 'SAVING'
""")
_AVAILABLE = text("""
    UPDATE image_metadata SET value = 'available'
    WHERE image_id = :id AND key = 'image_state' AND system
""")
_FAIL_SAVING = text("""
    UPDATE images SET status = 'ERROR', updated_at = clock_timestamp()
    WHERE status = 'SAVING' AND id IN (
        SELECT CAST(params ->> 'image' AS bigint) FROM operations
        WHERE subject_kind = 'server' AND subject_id = :server_id AND kind = 'snapshot')
""")


class PublicImage(Exception):  # noqa: N818
    """The image is the operator's, not the tenant's to change (R171, D45)."""


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """A file of the image store: SHA-256 in hex, sizes in bytes."""

    checksum: str
    size: int
    virtual_size: int


def delete(conn: Connection, scope: Scope, image_id: int) -> bool:
    """Retire a tenant's image, also one that is being made (R170); False when there is none such.

    Servers that came from it stay. Raises PublicImage.
    """
    values = {"id": image_id, "zone_id": scope.zone_id, "tenant_id": scope.tenant_id}
    row = conn.execute(_LOCK, values).first()
    if row is None:
        return False
    if row.tenant_id is None:
        raise PublicImage(image_id)
    conn.execute(_DELETE, {"id": image_id})
    return True


def create_snapshot(
    conn: Connection, scope: Scope, *, server_id: int, name: str, client: dict[str, str],
    instance_ref: str,
) -> int:  # fmt: skip
    """Write an image that is being made of a server, with its system items (D43d); its id.

    A client's item of a key that is not the client's is not taken (D37).
    """
    row = conn.execute(_SNAPSHOT, {"server_id": server_id, "name": name}).one()
    inherited = conn.execute(_INHERITED, {"server_id": server_id})
    system: dict[str, str | None] = {
        "architecture": "x86_64",
        **{item.key: item.value for item in inherited},
        "image_location": "snapshot",
        "image_state": "creating",
        "image_type": "snapshot",
        "instance_ref": instance_ref,
        "instance_uuid": row.source_server_uuid,
        "kernel_id": None if row.kernel_id is None else str(row.kernel_id),
        "ramdisk_id": None if row.ramdisk_id is None else str(row.ramdisk_id),
        "owner_id": scope.tenant_id,
        "user_id": scope.user_id,
        "backup_type": None,
    }
    free = {key: value for key, value in client.items() if key not in images.RECORD_KEYS}
    items = {**free, **system}
    values = {
        "image_id": row.id,
        "keys": list(items),
        "values": list(items.values()),
        "system": [key in system for key in items],
    }
    conn.execute(_METADATA, values)
    return int(row.id)


def show_progress(conn: Connection, image_id: int, percent: int) -> bool:
    """An image that is being made shows how far it is; never less than before.

    False when nobody waits for its bytes any more.
    """
    conn.execute(_PROGRESS, {"id": image_id, "percent": percent})
    return bool(conn.execute(_SAVING, {"id": image_id}).scalar_one())


def finish(conn: Connection, image_id: int, stored: StoredBytes) -> bool:
    """The image can boot servers (R164, R165); False when it was deleted or failed meanwhile."""
    values = {
        "id": image_id,
        "checksum": stored.checksum,
        "size": stored.size,
        "virtual_size": stored.virtual_size,
    }
    if not conn.execute(_FINISH, values).rowcount:
        return False
    conn.execute(_AVAILABLE, {"id": image_id})
    return True


def fail_saving(conn: Connection, server_id: int) -> None:
    """The image that was being made of a server, if any, ends in ERROR (R164)."""
    conn.execute(_FAIL_SAVING, {"server_id": server_id})
