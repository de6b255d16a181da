"""What clients change about servers: create, rename, delete. Each runs in the caller's transaction.

Lock order of all of ``db``, to be kept by every transaction: tenant -> name -> server -> image ->
host -> address -> volume -> group -> host configuration -> operation, ascending id within each. The
tenant row is locked FOR NO KEY UPDATE, which foreign keys do not wait for.
"""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, text

from db import quota
from db.operations import queue
from db.operations.errors import InProgress
from db.queries import group_state, image_changes, server_files, servers
from db.scope import Scope

ALPHABET = string.ascii_lowercase + string.digits


class NotAdmitted(Exception):  # noqa: N818
    """Why a request cannot be: each subclass is one fault of the API. Nothing was changed."""


class UnknownFlavor(NotAdmitted):
    """No such flavor (R120)."""


class UnknownImage(NotAdmitted):
    """No such machine image for this tenant (R120)."""


class ImageNotActive(NotAdmitted):
    """The image cannot boot now (R121)."""


class FlavorTooSmall(NotAdmitted):
    """The image wants more than the flavor has; the text is "memory" or "disk"."""


class UnknownKeypair(NotAdmitted):
    """No such keypair of this user (R128)."""


class UnknownGroup(NotAdmitted):
    """No such security group; the text is its name (R127)."""


class NameInUse(NotAdmitted):
    """Another live server of the tenant has the name (R98, D15)."""


@dataclass(frozen=True, slots=True)
class NewServers:
    """One create call (R96-R136), checked for form, not yet against the records."""

    name: str
    hostname: str  # "" gives server-<id>
    flavor_id: int
    image_id: int
    min_count: int = 1
    max_count: int = 1
    key_name: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    security_groups: tuple[str, ...] = ()
    config_drive: bool = False
    deadline_seconds: float = 900.0
    user_data: bytes | None = None  # decoded (D57)
    files: server_files.Files = ()  # path and contents of each (R186)


@dataclass(frozen=True, slots=True)
class Created:
    """The servers of one call and what is to be nudged."""

    server_ids: list[int]
    operation_ids: list[int]


_LOCK_TENANT = text("SELECT 1 FROM tenants WHERE id = :tenant_id FOR NO KEY UPDATE")
_PARTS = text("""
    SELECT f.name AS flavor_name, f.vcpus, f.ram_mb, f.disk_gb, z.root_gb,
           i.id AS image_id, i.status AS image_status, i.min_ram_mb, i.min_disk_gb,
           k.id AS keypair_id, k.public_key
    FROM zones z
    LEFT JOIN flavors f ON f.id = :flavor_id AND f.deleted_at IS NULL
    LEFT JOIN images i ON i.id = :image_id AND i.zone_id = z.id AND i.deleted_at IS NULL
         AND i.kind = 'machine' AND (i.tenant_id IS NULL OR i.tenant_id = :tenant_id)
    LEFT JOIN keypairs k ON k.zone_id = z.id AND k.tenant_id = :tenant_id
         AND k.user_id = :user_id AND k.name = :key_name
    WHERE z.id = :zone_id
""")
_GROUPS = text("""
    SELECT id, name FROM security_groups
    WHERE tenant_id = :tenant_id AND zone_id = :zone_id AND name = ANY(:names)
""")
_CLAIM_NAME = text("""
    INSERT INTO server_names (zone_id, tenant_id, name) VALUES (:zone_id, :tenant_id, :name)
    ON CONFLICT DO NOTHING RETURNING id
""")
_INSERT = text("""
    INSERT INTO servers (zone_id, tenant_id, user_id, name, name_id, hostname, launch_index,
        reservation_id, flavor_id, flavor_name, vcpus, ram_mb, disk_gb, root_gb, image_id,
        key_name, public_key, config_drive, user_data, vm_state, task_state)
    SELECT :zone_id, :tenant_id, :user_id, :name, :name_id, :hostname, index, :reservation_id,
        :flavor_id, :flavor_name, :vcpus, :ram_mb, :disk_gb, :root_gb, :image_id, :key_name,
        :public_key, :config_drive, :user_data, 'BUILD', 'scheduling'
    FROM generate_series(0, :count - 1) AS index ORDER BY index
    RETURNING id
""")
_NAME_HOSTS = text("UPDATE servers SET hostname = 'server-' || id WHERE id = ANY(:ids)")
_INSERT_METADATA = text("""
    INSERT INTO server_metadata (server_id, key, value)
    SELECT s.id, m.key, m.value FROM unnest(CAST(:ids AS bigint[])) AS s(id)
    CROSS JOIN unnest(CAST(:keys AS text[]), CAST(:values AS text[])) AS m(key, value)
""")
_INSERT_GROUPS = text("""
    INSERT INTO server_security_groups (server_id, group_id)
    SELECT s.id, g.id FROM unnest(CAST(:ids AS bigint[])) AS s(id)
    CROSS JOIN unnest(CAST(:groups AS bigint[])) AS g(id)
""")
_INSERT_OPERATIONS = text("""
    WITH new AS (
        INSERT INTO operations (zone_id, tenant_id, subject_kind, subject_id, kind, step, target,
                                request_id, deadline)
        SELECT :zone_id, :tenant_id, 'server', s.id, 'create', 'scheduling', 'scheduler',
               :request_id, clock_timestamp() + make_interval(secs => :deadline_seconds)
        FROM unnest(CAST(:ids AS bigint[])) AS s(id)
        RETURNING id)
    INSERT INTO operation_events (operation_id, step, actor, message)
    SELECT id, 'scheduling', 'api', 'Create accepted' FROM new RETURNING operation_id
""")


def lock_tenant(conn: Connection, tenant_id: str) -> None:
    """Serialise what the tenant's quotas and names depend on, until the transaction ends."""
    conn.execute(_LOCK_TENANT, {"tenant_id": tenant_id})


def create(conn: Connection, scope: Scope, new: NewServers) -> Created:
    """Make the servers of one call, all in BUILD(scheduling), with their operations.

    Raises a NotAdmitted or quota.QuotaExceeded, before anything is written.
    """
    base: dict[str, Any] = {
        "zone_id": scope.zone_id,
        "tenant_id": scope.tenant_id,
        "user_id": scope.user_id,
        "flavor_id": new.flavor_id,
        "image_id": new.image_id,
        "key_name": new.key_name,
    }
    lock_tenant(conn, scope.tenant_id)
    parts = conn.execute(_PARTS, base).one()
    _check_parts(parts, new)
    groups = _group_ids(conn, scope, new.security_groups or ("default",))
    count = quota.admit_servers(
        conn, scope.tenant_id, scope.zone_id,
        least=new.min_count, most=new.max_count, vcpus=parts.vcpus, ram_mb=parts.ram_mb,
    )  # fmt: skip
    name_id = conn.execute(_CLAIM_NAME, {**base, "name": new.name}).scalar()
    if name_id is None:
        raise NameInUse(new.name)
    values = {
        **base,
        "name": new.name,
        "name_id": name_id,
        "hostname": new.hostname,
        "reservation_id": "r-" + "".join(secrets.choice(ALPHABET) for _ in range(8)),
        "flavor_name": parts.flavor_name,
        "vcpus": parts.vcpus,
        "ram_mb": parts.ram_mb,
        "disk_gb": parts.disk_gb,
        "root_gb": parts.root_gb,
        "public_key": parts.public_key,
        "config_drive": new.config_drive,
        "user_data": new.user_data,
        "count": count,
    }
    ids = sorted(conn.execute(_INSERT, values).scalars())
    if not new.hostname:
        conn.execute(_NAME_HOSTS, {"ids": ids})
    _add_metadata(conn, ids, new.metadata)
    server_files.add(conn, ids, new.files)
    conn.execute(_INSERT_GROUPS, {"ids": ids, "groups": groups})
    operations = conn.execute(
        _INSERT_OPERATIONS,
        {
            **base,
            "ids": ids,
            "request_id": scope.request_id,
            "deadline_seconds": new.deadline_seconds,
        },
    ).scalars()
    return Created(ids, sorted(operations))


def _add_metadata(conn: Connection, ids: list[int], metadata: dict[str, str]) -> None:
    if metadata:
        keys, texts = list(metadata), list(metadata.values())
        conn.execute(_INSERT_METADATA, {"ids": ids, "keys": keys, "values": texts})


def _check_parts(parts: Row[Any], new: NewServers) -> None:
    if parts.image_id is None:
        raise UnknownImage(str(new.image_id))
    if parts.flavor_name is None:
        raise UnknownFlavor(str(new.flavor_id))
    if parts.image_status != "ACTIVE":
        raise ImageNotActive(str(new.image_id))
    if new.key_name is not None and parts.keypair_id is None:
        raise UnknownKeypair(new.key_name)
    if parts.min_ram_mb > parts.ram_mb:
        raise FlavorTooSmall("memory")
    if parts.root_gb and parts.min_disk_gb > parts.root_gb:
        raise FlavorTooSmall("disk")


def _group_ids(conn: Connection, scope: Scope, names: tuple[str, ...]) -> list[int]:
    rows = conn.execute(
        _GROUPS,
        {"tenant_id": scope.tenant_id, "zone_id": scope.zone_id, "names": list(names)},
    )
    found = {row.name: row.id for row in rows}
    for name in names:
        if name not in found:
            raise UnknownGroup(name)
    return sorted(found.values())


# -- rename ---------------------------------------------------------------------------------------

_LOCK = text("""
    SELECT id, uuid::text AS uuid, name, name_id, host_id, image_id, ram_mb, root_gb, task_state,
           vm_state FROM servers
    WHERE id = :id AND tenant_id = :tenant_id AND zone_id = :zone_id AND deleted_at IS NULL
    FOR UPDATE
""")
_RENAME = text("""
    UPDATE servers SET name = :name, name_id = :name_id, generation = generation + 1,
           updated_at = clock_timestamp() WHERE id = :id
""")
_DROP_METADATA = text("DELETE FROM server_metadata WHERE server_id = :id")
_DROP_NAME = text("""
    DELETE FROM server_names n WHERE n.id = :name_id
       AND NOT EXISTS (SELECT 1 FROM servers s WHERE s.name_id = n.id)
""")


def lock_live(conn: Connection, scope: Scope, server_id: int) -> Row[Any] | None:
    """Lock a live server of the scope, after its tenant; None when there is none such.

    The row has id, name, name_id, host_id, image_id, ram_mb, root_gb, uuid and both states.
    """
    lock_tenant(conn, scope.tenant_id)
    values = {"id": server_id, "tenant_id": scope.tenant_id, "zone_id": scope.zone_id}
    return conn.execute(_LOCK, values).first()


def rename(
    conn: Connection, scope: Scope, server_id: int, name: str
) -> servers.ServerDetail | None:
    """Give a live server another display name (R103-R105); None when it is gone.

    Raises NameInUse; renaming to the own current name changes nothing. Raises InProgress
    while it is being deleted.
    """
    row = lock_live(conn, scope, server_id)
    if row is None:
        return None
    if row.task_state == "deleting":
        raise InProgress(f"server {server_id} is being deleted")
    give_name(conn, scope, row, name)
    return servers.find(conn, scope, server_id)


def give_name(conn: Connection, scope: Scope, row: Row[Any], name: str) -> None:
    """The server of :func:`lock_live` has ``name``. Raises NameInUse."""
    if row.name == name:
        return
    name_id = conn.execute(
        _CLAIM_NAME,
        {"zone_id": scope.zone_id, "tenant_id": scope.tenant_id, "name": name},
    ).scalar()
    if name_id is None:
        raise NameInUse(name)
    conn.execute(_RENAME, {"id": row.id, "name": name, "name_id": name_id})
    conn.execute(_DROP_NAME, {"name_id": row.name_id})


def replace_metadata(conn: Connection, server_id: int, metadata: dict[str, str]) -> None:
    """The server has this metadata and no other (R175)."""
    conn.execute(_DROP_METADATA, {"id": server_id})
    _add_metadata(conn, [server_id], metadata)


# -- delete ---------------------------------------------------------------------------------------

_CANCEL = text("""
    UPDATE operations SET cancel_requested_at = clock_timestamp()
    WHERE subject_kind = 'server' AND subject_id = :id AND finished_at IS NULL
      AND kind <> 'delete' AND cancel_requested_at IS NULL
""")
_DELETING = text("""
    UPDATE servers SET task_state = 'deleting', updated_at = clock_timestamp() WHERE id = :id
""")
_SILENT = text("""
    SELECT NOT EXISTS (SELECT 1 FROM host_heartbeats WHERE host_id = :host_id
                       AND at > clock_timestamp() - make_interval(secs => :seconds))
""")
_FORGET = text("""
    UPDATE servers SET vm_state = 'DELETED', task_state = NULL, name_id = NULL,
           deleted_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE id = :id AND deleted_at IS NULL
""")
_OWNER = text("SELECT tenant_id, name_id FROM servers WHERE id = :id")


def request_delete(
    conn: Connection, scope: Scope, server_id: int, *, silent_seconds: float
) -> int | None:
    """Accept the deletion of a live server, in whatever state it is (D60).

    A running operation is cancelled; the host undoes what there is, and an image that was being
    made of the server ends in ERROR. On a silent host the server,
    its name and its quota go at once, and what the host may still hold stays claimed. Returns the
    operation to nudge, None when the server is gone or already being deleted.
    """
    row = lock_live(conn, scope, server_id)
    if row is None:
        return None
    image_changes.fail_saving(conn, server_id)
    conn.execute(_CANCEL, {"id": server_id})
    try:
        operation_id = queue.enqueue(
            conn,
            zone_id=scope.zone_id,
            tenant_id=scope.tenant_id,
            subject_kind="server",
            subject_id=server_id,
            kind="delete",
            step="cancelling",
            target=queue.SCHEDULER,
            request_id=scope.request_id,
        )
    except InProgress:
        return None
    queue.event(conn, operation_id, step="cancelling", actor="api", message="Delete accepted")
    conn.execute(_DELETING, {"id": server_id})
    silent = (
        row.host_id is not None
        and conn.execute(_SILENT, {"host_id": row.host_id, "seconds": silent_seconds}).scalar_one()
    )
    if silent:
        forget(conn, server_id)
        group_state.members_changed(conn, server_id)
    return operation_id


def forget(conn: Connection, server_id: int) -> bool:
    """The server is gone for its tenant: name and quota are free; False when it was before."""
    row = conn.execute(_OWNER, {"id": server_id}).one()
    if row.name_id is None:
        return False
    lock_tenant(conn, row.tenant_id)
    gone = conn.execute(_FORGET, {"id": server_id}).rowcount
    conn.execute(_DROP_NAME, {"name_id": row.name_id})
    return bool(gone)
