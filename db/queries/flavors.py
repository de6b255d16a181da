"""Flavors as clients see them (R210-R214)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

_COLUMNS = """
    SELECT id, name, vcpus, ram_mb, disk_gb, swap_mb, rxtx_quota, rxtx_cap FROM flavors
    WHERE deleted_at IS NULL
"""
_BY_ID = text(f"{_COLUMNS} AND id = :id")
_LIST = text(f"""
    {_COLUMNS} AND disk_gb >= :least_disk_gb AND ram_mb >= :least_ram_mb ORDER BY id
""")


@dataclass(frozen=True, slots=True)
class FlavorRow:
    """A flavor; sizes in GB and MB, ``rxtx_cap`` in megabits per second (0: no limit)."""

    id: int
    name: str
    vcpus: int
    ram_mb: int
    disk_gb: int
    swap_mb: int
    rxtx_quota: int
    rxtx_cap: int


def find(conn: Connection, flavor_id: int) -> FlavorRow | None:
    """A flavor by id; None when there is none such."""
    row = conn.execute(_BY_ID, {"id": flavor_id}).first()
    return None if row is None else FlavorRow(*row)


def list_all(conn: Connection, *, least_disk_gb: int = 0, least_ram_mb: int = 0) -> list[FlavorRow]:
    """Flavors of at least a size, by id (R212, D50)."""
    values = {"least_disk_gb": least_disk_gb, "least_ram_mb": least_ram_mb}
    return [FlavorRow(*row) for row in conn.execute(_LIST, values)]
