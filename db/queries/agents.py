"""What an agent writes of its own host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from db.wanted import WantedNetwork

_REGISTER = text("""
    INSERT INTO hosts (name, zone_id, management_address, hypervisor, vcpus, ram_mb, disk_gb,
                       vcpu_ratio, ram_ratio, disk_ratio, reserved_ram_mb)
    SELECT :name, z.id, :management_address, :hypervisor, :vcpus, :ram_mb, :disk_gb,
           :vcpu_ratio, :ram_ratio, :disk_ratio, :reserved_ram_mb
    FROM zones z WHERE z.name = :zone
    ON CONFLICT (name) DO UPDATE SET
        management_address = excluded.management_address, hypervisor = excluded.hypervisor,
        vcpus = excluded.vcpus, ram_mb = excluded.ram_mb, disk_gb = excluded.disk_gb,
        vcpu_ratio = excluded.vcpu_ratio, ram_ratio = excluded.ram_ratio,
        disk_ratio = excluded.disk_ratio, reserved_ram_mb = excluded.reserved_ram_mb,
        updated_at = clock_timestamp()
    RETURNING id
""")
_HOST_ID = text("SELECT id FROM hosts WHERE name = :name")
_NETWORK = text("""
    SELECT n.id, n.name, n.cidr::text AS cidr, host(n.gateway) AS gateway, n.gateway_mac, n.dns,
           z.hostname_domain AS domain
    FROM networks n JOIN zones z ON z.id = n.zone_id WHERE z.name = :zone ORDER BY n.id LIMIT 1
""")
_LAST_BOOT = text("SELECT boot_id FROM host_heartbeats WHERE host_id = :host_id")
_BEAT = text("""
    INSERT INTO host_heartbeats (host_id, at, boot_id, details)
    SELECT b.host_id, clock_timestamp(), b.boot_id, :details
    FROM unnest(CAST(:host_ids AS bigint[]), CAST(:boots AS text[])) AS b(host_id, boot_id)
    ON CONFLICT (host_id) DO UPDATE SET at = excluded.at, boot_id = excluded.boot_id,
        details = excluded.details
""").bindparams(bindparam("details", type_=JSONB))
_LET_GO = text("""
    UPDATE operations SET lease_owner = NULL, lease_until = NULL
    WHERE target = ANY(:targets) AND finished_at IS NULL AND lease_owner IS NOT NULL
""")


class UnknownZone(Exception):  # noqa: N818
    """The host's zone is not in the database."""


def register(conn: Connection, facts: dict[str, Any]) -> int:
    """Write a host's facts, keeping whether it is enabled; returns its id. Raises UnknownZone."""
    host_id = conn.execute(_REGISTER, facts).scalar()
    if host_id is None:
        raise UnknownZone(facts["zone"])
    return int(host_id)


def host_id(conn: Connection, name: str) -> int:
    """Id of a registered host. Raises NoResultFound."""
    return int(conn.execute(_HOST_ID, {"name": name}).scalar_one())


def network_of_zone(conn: Connection, zone: str) -> WantedNetwork | None:
    """The zone's network; None until the operator made it."""
    row = conn.execute(_NETWORK, {"zone": zone}).first()
    return None if row is None else WantedNetwork(**row._mapping)


def last_boot(conn: Connection, host_id: int) -> str | None:
    """Boot id that the host last reported."""
    boot: str | None = conn.execute(_LAST_BOOT, {"host_id": host_id}).scalar()
    return boot


def beat(conn: Connection, boots: Mapping[int, str], details: dict[str, Any]) -> None:
    """These hosts, by id with their boot ids, are alive."""
    values = {"host_ids": list(boots), "boots": list(boots.values()), "details": details}
    conn.execute(_BEAT, values)


def let_go(conn: Connection, targets: list[str]) -> None:
    """Give up the leases of this host's former agent process, which its lock file proves dead."""
    conn.execute(_LET_GO, {"targets": targets})
