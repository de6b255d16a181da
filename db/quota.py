"""Limits of a tenant in a zone (R57-R65, D51). What is used is counted, never kept."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

MOST_PER_CALL = 1000  # servers of one create, whatever the quota

DEFAULTS: Mapping[str, int] = {
    "metadata_items": 50,
    "injected_files": 5,
    "injected_file_content_bytes": 10240,
    "instances": 20,
    "cores": 20,
    "ram": 102400,  # MB
    "floating_ips": 10,
    "volumes": 10,
    "gigabytes": 1000,
    "security_groups": 10,
    "security_group_rules": 20,
}

_LIMITS = text("SELECT resource, hard_limit FROM quotas WHERE tenant_id = :t AND zone_id = :z")
_USED = text("""
    SELECT count(*) AS instances, coalesce(sum(vcpus), 0)::bigint AS cores,
           coalesce(sum(ram_mb), 0)::bigint AS ram
    FROM servers WHERE tenant_id = :t AND zone_id = :z AND deleted_at IS NULL
""")
_SET = text("""
    INSERT INTO quotas (tenant_id, zone_id, resource, hard_limit) VALUES (:t, :z, :resource, :limit)
    ON CONFLICT (tenant_id, zone_id, resource) DO UPDATE SET hard_limit = excluded.hard_limit
""")


@dataclass(eq=False)
class QuotaExceeded(Exception):  # noqa: N818
    """A claim does not fit. ``room`` is how many of the thing asked for would still fit."""

    resource: str
    limit: int
    used: int
    requested: int
    room: int


def limits(conn: Connection, tenant_id: str, zone_id: int) -> dict[str, int]:
    """All limits by resource; -1 is unlimited."""
    rows = conn.execute(_LIMITS, {"t": tenant_id, "z": zone_id})
    return {**DEFAULTS, **{row.resource: row.hard_limit for row in rows}}


def used(conn: Connection, tenant_id: str, zone_id: int) -> dict[str, int]:
    """Live use of instances, cores and ram."""
    return dict(conn.execute(_USED, {"t": tenant_id, "z": zone_id}).one()._mapping)


def set_limit(conn: Connection, tenant_id: str, zone_id: int, resource: str, limit: int) -> None:
    """Set one limit; -1 is unlimited. Raises KeyError for an unknown resource."""
    if resource not in DEFAULTS:
        raise KeyError(resource)
    conn.execute(_SET, {"t": tenant_id, "z": zone_id, "resource": resource, "limit": limit})


def admit_servers(
    conn: Connection,
    tenant_id: str,
    zone_id: int,
    *,
    least: int,
    most: int,
    vcpus: int,
    ram_mb: int,
) -> int:
    """How many of ``least``..``most`` servers of a size fit (R123). The tenant row is locked.

    Raises QuotaExceeded when fewer than ``least`` do (R124).
    """
    allowed, in_use = limits(conn, tenant_id, zone_id), used(conn, tenant_id, zone_id)
    admitted, tightest = min(most, MOST_PER_CALL), "instances"
    for resource, size in (("instances", 1), ("cores", vcpus), ("ram", ram_mb)):
        if allowed[resource] >= 0:
            fits = max((allowed[resource] - in_use[resource]) // size, 0)
            if fits < admitted:
                admitted, tightest = fits, resource
    if admitted < least:
        raise QuotaExceeded(tightest, allowed[tightest], in_use[tightest], least, admitted)
    return admitted


def admit_one(conn: Connection, tenant_id: str, zone_id: int, resource: str, in_use: int) -> None:
    """One more of a resource fits beside ``in_use``. The tenant row is locked.

    Raises QuotaExceeded when it does not.
    """
    allowed = limits(conn, tenant_id, zone_id)[resource]
    if 0 <= allowed <= in_use:
        raise QuotaExceeded(resource, allowed, in_use, requested=1, room=0)
