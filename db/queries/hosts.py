"""Compute hosts as the operator sees them. What agents write is in :mod:`db.queries.agents`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

_COLUMNS = """
    SELECT h.id, h.name, z.name AS zone, h.enabled, h.disabled_reason,
           coalesce(b.at > clock_timestamp() - make_interval(secs => :silent), false) AS alive,
           b.at AS heard_at,
           extract(epoch FROM clock_timestamp() - b.at)::double precision AS silence,
           h.hypervisor, h.management_address,
           (SELECT count(*) FROM servers s WHERE s.host_id = h.id AND s.deleted_at IS NULL)
               AS servers,
           h.used_vcpus, floor(h.vcpus * h.vcpu_ratio)::bigint AS total_vcpus,
           h.used_ram_mb,
           floor(greatest(h.ram_mb - h.reserved_ram_mb, 0) * h.ram_ratio)::bigint AS total_ram_mb,
           h.used_disk_gb, floor(h.disk_gb * h.disk_ratio)::bigint AS total_disk_gb,
           h.vcpus, h.ram_mb, h.disk_gb, h.vcpu_ratio, h.ram_ratio, h.disk_ratio,
           h.reserved_ram_mb, h.created_at, b.details
    FROM hosts h JOIN zones z ON z.id = h.zone_id
    LEFT JOIN host_heartbeats b ON b.host_id = h.id
"""
# Names with numbers in the order of their numbers: cmp2 before cmp10.
_LIST = text(f"{_COLUMNS} ORDER BY z.id, regexp_replace(h.name, '[0-9]+$', ''), length(h.name),"
             " h.name")  # fmt: skip
_FIND = text(f"{_COLUMNS} WHERE h.name = :name")
_ENABLE = text("""
    UPDATE hosts SET enabled = :enabled, disabled_reason = :reason,
           updated_at = clock_timestamp() WHERE name = :name
""")


@dataclass(frozen=True, slots=True)
class HostSummary:
    """A host. ``total_*`` are what may be promised of it, ratios and reserve considered.

    ``alive``: heard within the settings' silent_seconds. ``silence``: seconds since, None: never.
    """

    id: int
    name: str
    zone: str
    enabled: bool
    disabled_reason: str | None
    alive: bool
    heard_at: datetime | None
    silence: float | None
    hypervisor: str
    management_address: str
    servers: int
    used_vcpus: int
    total_vcpus: int
    used_ram_mb: int
    total_ram_mb: int
    used_disk_gb: int
    total_disk_gb: int
    vcpus: int
    ram_mb: int
    disk_gb: int
    vcpu_ratio: float
    ram_ratio: float
    disk_ratio: float
    reserved_ram_mb: int
    created_at: datetime
    details: dict[str, Any] | None


def list_all(conn: Connection, *, silent: float) -> list[HostSummary]:
    """All hosts by zone and name; ``silent`` is the age in seconds of a heartbeat too old."""
    return [HostSummary(*row) for row in conn.execute(_LIST, {"silent": silent})]


def find(conn: Connection, name: str, *, silent: float) -> HostSummary | None:
    """A host by name; None when there is none such."""
    row = conn.execute(_FIND, {"name": name, "silent": silent}).first()
    return None if row is None else HostSummary(*row)


def set_enabled(conn: Connection, name: str, *, enabled: bool, reason: str | None = None) -> bool:
    """Let new servers come to a host, or not; those on it stay. False: there is none such."""
    values = {"name": name, "enabled": enabled, "reason": reason}
    return bool(conn.execute(_ENABLE, values).rowcount)
