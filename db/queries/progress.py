"""What workers write about a server while they make it true, and what they read to do so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from db.queries import addresses, group_state, placement, server_changes
from db.wanted import WantedFile, WantedImage, WantedNetwork, WantedServer, lines_by_name

_STATE = text("""
    UPDATE servers SET vm_state = :vm_state, task_state = :task_state,
           updated_at = clock_timestamp()
    WHERE id = :id AND deleted_at IS NULL AND task_state IS DISTINCT FROM 'deleting'
""")
_PLACE = text("""
    UPDATE servers SET host_id = :host_id, task_state = :task_state,
           updated_at = clock_timestamp()
    WHERE id = :id AND deleted_at IS NULL
""")
_ACTIVE = text("""
    UPDATE servers SET vm_state = 'ACTIVE', task_state = NULL, power_state = 'running',
           fault_code = NULL, fault_message = NULL,
           launched_at = coalesce(launched_at, clock_timestamp()), updated_at = clock_timestamp()
    WHERE id = :id AND deleted_at IS NULL AND task_state IS DISTINCT FROM 'deleting'
""")
_FAULT = text("""
    UPDATE servers SET vm_state = 'ERROR', task_state = NULL, power_state = NULL,
           fault_code = :code, fault_message = :message, updated_at = clock_timestamp()
    WHERE id = :id AND deleted_at IS NULL AND task_state IS DISTINCT FROM 'deleting'
""")
_UNPLACE = text("UPDATE servers SET host_id = NULL WHERE id = :id")
_HOST = text("""
    SELECT h.name FROM servers s JOIN hosts h ON h.id = s.host_id WHERE s.id = :id
""")
_POWER = text("""
    UPDATE servers s SET power_state = :power,
           vm_state = CASE WHEN s.vm_state IN ('ACTIVE', 'STOPPED') THEN :vm_state
                           ELSE s.vm_state END,
           updated_at = clock_timestamp()
    WHERE s.id = :id AND s.deleted_at IS NULL AND s.task_state IS NULL
      AND (s.power_state IS DISTINCT FROM :power
           OR s.vm_state IN ('ACTIVE', 'STOPPED') AND s.vm_state <> :vm_state)
      AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.subject_kind = 'server'
                      AND o.subject_id = s.id AND o.finished_at IS NULL)
""")

_NOTE = text("""
    INSERT INTO operation_events (operation_id, step, level, actor, message)
    SELECT max(id), 'reconcile', :level, :actor, :message FROM operations
    WHERE subject_kind = 'server' AND subject_id = :id HAVING max(id) IS NOT NULL
""")

_IMAGE = """(SELECT jsonb_build_object('id', {i}.id, 'checksum', {i}.checksum,
    'disk_format', {i}.disk_format, 'size', {i}.size, 'virtual_size', {i}.virtual_size,
    'owner', {i}.tenant_id)
    WHERE {i}.id IS NOT NULL)"""
_WANTED = f"""
    SELECT s.id, s.uuid::text AS uuid, s.tenant_id, s.generation, s.name, s.hostname,
           z.name AS zone, s.reservation_id, s.launch_index, s.flavor_name, s.vcpus, s.ram_mb,
           s.root_gb, s.disk_gb, s.key_name, s.public_key, s.config_drive,
           encode(s.user_data, 'base64') AS user_data,
           EXISTS (SELECT 1 FROM image_metadata m WHERE m.image_id = i.id AND m.key = 'os_type'
                   AND lower(m.value) = 'windows') AS windows,
           {_IMAGE.format(i="i")} AS image, {_IMAGE.format(i="k")} AS kernel,
           {_IMAGE.format(i="r")} AS ramdisk,
           jsonb_build_object('id', n.id, 'name', n.name, 'cidr', n.cidr::text,
               'gateway', host(n.gateway), 'gateway_mac', n.gateway_mac, 'dns', n.dns,
               'domain', z.hostname_domain) AS network,
           host(f.address) AS fixed_address, f.id AS fixed_id,
           (SELECT jsonb_agg(host(p.address) ORDER BY p.automatic DESC, p.associated_at, p.id)
              FROM public_addresses p WHERE p.server_id = s.id) AS public_addresses,
           (SELECT jsonb_agg(g.name ORDER BY g.name) FROM server_security_groups sg
              JOIN security_groups g ON g.id = sg.group_id WHERE sg.server_id = s.id)
               AS security_groups,
           (SELECT jsonb_object_agg(m.key, m.value) FROM server_metadata m
             WHERE m.server_id = s.id) AS metadata,
           (SELECT jsonb_agg(jsonb_build_object('path', p.path, 'contents',
                      encode(p.contents, 'base64')) ORDER BY p.position)
              FROM server_files p WHERE p.server_id = s.id) AS files,
           (SELECT jsonb_object_agg(t.key_name, t.lines) FROM (
               SELECT o.key_name, jsonb_agg(host(a.address) || ' slots=' || o.vcpus ORDER BY o.id)
                   AS lines
               FROM servers o JOIN fixed_addresses a ON a.server_id = o.id
               WHERE o.tenant_id = s.tenant_id AND o.zone_id = s.zone_id AND o.deleted_at IS NULL
                 AND o.key_name IS NOT NULL
               GROUP BY o.key_name) t) AS mpi,
           coalesce((SELECT l.rxtx_cap FROM flavors l WHERE l.id = s.flavor_id), 0) AS rxtx_cap
    FROM servers s JOIN zones z ON z.id = s.zone_id JOIN images i ON i.id = s.image_id
    LEFT JOIN images k ON k.id = i.kernel_id LEFT JOIN images r ON r.id = i.ramdisk_id
    JOIN fixed_addresses f ON f.server_id = s.id JOIN networks n ON n.id = f.network_id
"""
WANTED_ONE = text(f"{_WANTED} WHERE s.id = :id")
_ON_HOST = text("""
    SELECT s.id, s.generation, s.power_state, s.vm_state
    FROM servers s JOIN hosts h ON h.id = s.host_id
    JOIN fixed_addresses f ON f.server_id = s.id
    WHERE h.name = :host AND s.deleted_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.subject_kind = 'server'
                      AND o.subject_id = s.id AND o.finished_at IS NULL AND o.kind <> 'snapshot')
    ORDER BY s.id""")
_ACTIVE_ON_HOST = text("""
    SELECT s.id FROM servers s JOIN hosts h ON h.id = s.host_id
    WHERE h.name = :host AND s.deleted_at IS NULL AND s.vm_state = 'ACTIVE'
""")
_FATE = text("""
    SELECT s.id, s.deleted_at IS NOT NULL AS deleted, coalesce(h.name = :host, false) AS here,
           s.vm_state,
           EXISTS (SELECT 1 FROM operations o WHERE o.subject_kind = 'server'
                   AND o.subject_id = s.id AND o.finished_at IS NULL
                   AND o.kind <> 'snapshot') AS busy,
           EXISTS (SELECT 1 FROM operations o WHERE o.subject_kind = 'server'
                   AND o.subject_id = s.id AND o.finished_at IS NULL
                   AND o.kind = 'snapshot') AS copying,
           EXISTS (SELECT 1 FROM allocations a WHERE a.server_id = s.id) AS allocated
    FROM servers s LEFT JOIN hosts h ON h.id = s.host_id WHERE s.id = ANY(:ids)
""")


def mac_of(fixed_id: int) -> str:
    """MAC of a fixed address' row: locally administered, the row's id in its last four bytes."""
    return "02:16:" + ":".join(f"{byte:02x}" for byte in fixed_id.to_bytes(4, "big"))


def _wanted(row: Any) -> WantedServer:
    values = dict(row._mapping)
    mac = mac_of(values.pop("fixed_id"))

    def image(value: dict[str, Any] | None) -> WantedImage | None:
        return None if value is None else WantedImage(**value)

    return WantedServer(
        **{
            **values,
            "mac": mac,
            "image": image(values["image"]),
            "kernel": image(values["kernel"]),
            "ramdisk": image(values["ramdisk"]),
            "network": WantedNetwork(**values["network"]),
            "public_addresses": tuple(values["public_addresses"] or ()),
            "security_groups": tuple(values["security_groups"] or ()),
            "metadata": values["metadata"] or {},
            "files": tuple(WantedFile(**file) for file in values["files"] or ()),
            "mpi": lines_by_name(values["mpi"] or {}),
        }
    )


def wanted(conn: Connection, server_id: int) -> WantedServer | None:
    """The record that a host needs; None while the server has no address."""
    row = conn.execute(WANTED_ONE, {"id": server_id}).first()
    return None if row is None else _wanted(row)


@dataclass(frozen=True, slots=True)
class OnHost:
    """A server that a host must have: what tells whether it is as it was."""

    id: int
    generation: int
    power_state: str | None  # as the host said last
    vm_state: str


def on_host(conn: Connection, host_name: str) -> list[OnHost]:
    """Servers that the host must have as they are, without those in the hands of an operation.

    A snapshot leaves all but the disk as it is. Of a server in ERROR the host may have nothing.
    """
    return [OnHost(*row) for row in conn.execute(_ON_HOST, {"host": host_name})]


def active_on_host(conn: Connection, host_name: str) -> set[int]:
    """Ids of the servers whose guests run on a host, or should."""
    return set(conn.execute(_ACTIVE_ON_HOST, {"host": host_name}).scalars())


def fates(conn: Connection, host_name: str, ids: list[int]) -> dict[int, Any]:
    """What the database says of servers found on a host: deleted, here, busy, copying, allocated.

    ``copying``: an image is being made of it; ``busy``: another operation has it in hand. An id
    that is missing has no row at all.
    """
    return {row.id: row for row in conn.execute(_FATE, {"host": host_name, "ids": ids})}


def host_of(conn: Connection, server_id: int) -> str | None:
    """Name of the host that a server was placed on."""
    name: str | None = conn.execute(_HOST, {"id": server_id}).scalar()
    return name


def set_state(conn: Connection, server_id: int, vm_state: str, task_state: str | None) -> None:
    """Show a state; a server that is being deleted keeps showing that."""
    conn.execute(_STATE, {"id": server_id, "vm_state": vm_state, "task_state": task_state})


def place(conn: Connection, server_id: int, host_id: int, task_state: str) -> None:
    """The server belongs to a host now."""
    conn.execute(_PLACE, {"id": server_id, "host_id": host_id, "task_state": task_state})


def become_active(conn: Connection, server_id: int) -> None:
    """The guest runs (R111)."""
    conn.execute(_ACTIVE, {"id": server_id})


def become_faulty(conn: Connection, server_id: int, message: str, code: int = 500) -> None:
    """The server ends in ERROR with a text for its tenant (R112)."""
    conn.execute(_FAULT, {"id": server_id, "message": message, "code": code})


def release_host(conn: Connection, server_id: int) -> None:
    """The host confirmed that nothing of the server is left: its claim is free."""
    conn.execute(_UNPLACE, {"id": server_id})
    placement.release(conn, server_id)


def release_claims(conn: Connection, server_id: int) -> list[str]:
    """A server in ERROR holds nothing: its host's share and its addresses are free.

    Returns the hosts that must look, because its address is a source in their rules.
    """
    release_host(conn, server_id)
    was_member = addresses.release(conn, server_id)
    return group_state.members_changed(conn, server_id) if was_member else []


def release_all(conn: Connection, server_id: int) -> list[str]:
    """The server is gone from everywhere: name, quota, claim and addresses are free (R146).

    Returns hosts as :func:`release_claims` does.
    """
    was_live = server_changes.forget(conn, server_id)
    release_host(conn, server_id)
    was_member = addresses.release(conn, server_id) and was_live
    return group_state.members_changed(conn, server_id) if was_member else []


def note(
    conn: Connection, server_id: int, *, actor: str, message: str, level: str = "info"
) -> None:
    """Add what happened by itself to the server's timeline, after its last operation."""
    conn.execute(_NOTE, {"id": server_id, "actor": actor, "message": message, "level": level})


def see_power(conn: Connection, server_id: int, power: str) -> bool:
    """Record what a host sees of an idle server; True when that was news (wire-notes 8.2)."""
    vm_state = "ACTIVE" if power in ("running", "paused") else "STOPPED"
    values = {"id": server_id, "power": power, "vm_state": vm_state}
    return bool(conn.execute(_POWER, values).rowcount)
