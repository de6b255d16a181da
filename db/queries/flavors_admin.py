"""Flavors, as the operator makes them (R210, R211). :mod:`db.queries.flavors` lists them."""

from __future__ import annotations

from sqlalchemy import Connection, text

from db.queries.flavors import FlavorRow

DEFAULTS = (
    FlavorRow(100, "standard.xsmall", 1, 1024, 30, 0, 0, 0),
    FlavorRow(101, "standard.small", 2, 2048, 60, 0, 0, 0),
    FlavorRow(102, "standard.medium", 2, 4096, 120, 0, 0, 0),
    FlavorRow(103, "standard.large", 4, 8192, 240, 0, 0, 0),
    FlavorRow(104, "standard.xlarge", 4, 16384, 480, 0, 0, 0),
    FlavorRow(105, "standard.2xlarge", 8, 32768, 960, 0, 0, 0),
)

_INSERT = text("""
    INSERT INTO flavors (id, name, vcpus, ram_mb, disk_gb, swap_mb, rxtx_cap)
    VALUES (:id, :name, :vcpus, :ram_mb, :disk_gb, :swap_mb, :rxtx_cap)
    ON CONFLICT DO NOTHING RETURNING id
""")
_NEXT_ID = text("SELECT coalesce(max(id), 0) + 1 FROM flavors")
_BY_KEY = text("""
    SELECT id, name, vcpus, ram_mb, disk_gb, swap_mb, rxtx_quota, rxtx_cap FROM flavors
    WHERE deleted_at IS NULL AND (id::text = :key OR name = :key)
    ORDER BY id::text = :key DESC LIMIT 1
""")
_DELETE = text("""
    UPDATE flavors SET deleted_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE id = :id AND deleted_at IS NULL
""")


def create(
    conn: Connection,
    name: str,
    *,
    vcpus: int,
    ram_mb: int,
    disk_gb: int = 0,
    swap_mb: int = 0,
    rxtx_cap: int = 0,
    id: int | None = None,
) -> bool:
    """Make a flavor; False when a live one has the name, or any one, even deleted, has the id."""
    values = {
        "id": conn.execute(_NEXT_ID).scalar_one() if id is None else id,
        "name": name,
        "vcpus": vcpus,
        "ram_mb": ram_mb,
        "disk_gb": disk_gb,
        "swap_mb": swap_mb,
        "rxtx_cap": rxtx_cap,
    }
    return conn.execute(_INSERT, values).first() is not None


def create_defaults(conn: Connection) -> list[FlavorRow]:
    """Make those of the reference's flavors that are missing; returns them."""
    return [
        flavor
        for flavor in DEFAULTS
        if create(
            conn, flavor.name, id=flavor.id, vcpus=flavor.vcpus, ram_mb=flavor.ram_mb,
            disk_gb=flavor.disk_gb,
        )
    ]  # fmt: skip


def find(conn: Connection, name_or_id: str) -> FlavorRow | None:
    """A live flavor by id, else by name; None when there is none such."""
    row = conn.execute(_BY_KEY, {"key": name_or_id}).first()
    return None if row is None else FlavorRow(*row)


def delete(conn: Connection, flavor_id: int) -> bool:
    """Retire a flavor; servers keep their copy. False when it is gone already."""
    return bool(conn.execute(_DELETE, {"id": flavor_id}).rowcount)
