"""What clients do to a server that exists: reboot, rebuild, image of it. Each in one transaction.

Each function locks the server, looks whether its state allows the action (wire-notes 8.4), writes
what the client sees at once, and enqueues the operation for the server's host. Lock order: see
``server_changes``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, Row, text

from db.operations import queue
from db.operations.errors import InProgress
from db.queries import image_changes, placement, progress, server_changes, server_files
from db.queries.server_changes import FlavorTooSmall, ImageNotActive, NotAdmitted, UnknownImage
from db.scope import Scope

Action = Literal[
    "reboot", "rebuild", "createImage", "addFloatingIp", "removeFloatingIp", "addSecurityGroup",
    "removeSecurityGroup",
]  # fmt: skip
_WORDS = {"BUILD": "building", "REBUILD": "rebuilding"}
LICENSE = "hp_image_license"  # metadata key of images that may not be swapped for others (D36)


class NotNow(Exception):  # noqa: N818
    """The server's state does not allow an action (R155).

    ``because`` ends the sentence "Cannot '<action>' while instance is in ...".
    """

    def __init__(
        self, action: Action, vm_state: str, task_state: str | None, *, because_of_task: bool
    ) -> None:
        self.action = action
        self.vm_state = vm_state
        self.task_state = task_state
        word = _WORDS.get(vm_state, vm_state.lower())
        self.because = f"task_state {task_state}" if because_of_task else f"vm_state {word}"
        super().__init__(f"Cannot '{action}' while instance is in {self.because}")


class LicensedImage(NotAdmitted):
    """A server of a licensed image can be rebuilt from that image only (R153, D36)."""


class NoRoom(NotAdmitted):
    """The server's host cannot hold the larger disk; the text is what it needs in GB."""


@dataclass(frozen=True, slots=True)
class Requested:
    """An accepted action: what is to be nudged."""

    target: str
    operation_id: int


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A rebuild, checked for form (R150-R153). None leaves what the server has."""

    image_id: int
    name: str | None = None
    metadata: dict[str, str] | None = None
    files: server_files.Files | None = None


@dataclass(frozen=True, slots=True)
class NewSnapshot:
    """An image to be made of a server (R161-R164, D37), checked for form.

    ``base_url`` is the part of the API's URLs before the version: it stands in ``instance_ref``.
    """

    name: str
    base_url: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestedSnapshot(Requested):
    """An accepted createImage, and the image, which is SAVING."""

    image_id: int


@dataclass(frozen=True, slots=True)
class ConsolePlace:
    """Whose console is where: ``host_address`` is None before the server has a host."""

    server_id: int
    host_address: str | None


_LIVE = text("""
    SELECT id, kind, target FROM operations
    WHERE subject_kind = 'server' AND subject_id = :id AND finished_at IS NULL
      AND kind <> 'delete'
""")
_TASK = text("""
    UPDATE servers SET task_state = :task_state, updated_at = clock_timestamp() WHERE id = :id
""")
_IMAGE = text("""
    SELECT id, status, min_ram_mb, min_disk_gb FROM images
    WHERE id = :id AND zone_id = :zone_id AND deleted_at IS NULL AND kind = 'machine'
      AND (tenant_id IS NULL OR tenant_id = :tenant_id) FOR SHARE
""")
_LICENSED = text("SELECT EXISTS (SELECT 1 FROM image_metadata WHERE image_id = :id AND key = :key)")
_SET_IMAGE = text("""
    UPDATE servers SET image_id = :image_id, generation = generation + 1,
           updated_at = clock_timestamp() WHERE id = :id
""")
_CONSOLE = text("""
    SELECT s.id, h.management_address FROM servers s LEFT JOIN hosts h ON h.id = s.host_id
    WHERE s.tenant_id = :tenant_id AND s.zone_id = :zone_id AND s.deleted_at IS NULL
      AND (s.id = :id OR s.uuid = CAST(:uuid AS uuid))
""")


def request_reboot(
    conn: Connection, scope: Scope, server_id: int, *, deadline_seconds: float
) -> Requested | None:
    """Power-cycle a live server (R148); None when it is gone.

    A reboot of a server that is rebooting is accepted and is that same operation. Raises NotNow.
    """
    row = server_changes.lock_live(conn, scope, server_id)
    if row is None:
        return None
    if row.task_state == "rebooting":
        live = conn.execute(_LIVE, {"id": server_id}).one()
        return Requested(live.target, live.id)
    _check_state(row, "reboot", ("ACTIVE", "STOPPED", "ERROR"))
    _set_task(conn, server_id, "rebooting")
    return _enqueue(
        conn, scope, row, action="reboot", kind="reboot", step="powering_off", params={},
        message="Reboot accepted", deadline_seconds=deadline_seconds,
    )  # fmt: skip


def request_rebuild(
    conn: Connection, scope: Scope, server_id: int, rebuild: Rebuild, *, deadline_seconds: float
) -> Requested | None:
    """Start a live server anew from an image (R150-R153, D36); None when it is gone.

    Raises NotNow, UnknownImage, ImageNotActive, LicensedImage, FlavorTooSmall, NameInUse or NoRoom,
    and has changed nothing then.
    """
    row = server_changes.lock_live(conn, scope, server_id)
    if row is None:
        return None
    _check_state(row, "rebuild", ("ACTIVE", "STOPPED", "ERROR"))
    _check_image(conn, scope, row, rebuild.image_id)
    if rebuild.name is not None:
        server_changes.give_name(conn, scope, row, rebuild.name)
    if rebuild.metadata is not None:
        server_changes.replace_metadata(conn, server_id, rebuild.metadata)
    if rebuild.files is not None:
        server_files.replace(conn, server_id, rebuild.files)
    conn.execute(_SET_IMAGE, {"id": server_id, "image_id": rebuild.image_id})
    _set_task(conn, server_id, "rebuilding")
    wanted = placement.needs(conn, server_id)
    if not placement.make_room(conn, wanted):
        raise NoRoom(str(wanted.disk_gb))
    return _enqueue(
        conn, scope, row, action="rebuild", kind="rebuild", step="rebuilding",
        params={"former_image": row.image_id}, message="Rebuild accepted",
        deadline_seconds=deadline_seconds,
    )  # fmt: skip


def request_create_image(
    conn: Connection, scope: Scope, server_id: int, new: NewSnapshot, *, deadline_seconds: float
) -> RequestedSnapshot | None:
    """Make an image of a live server's root disk (R161-R164, D37); None when the server is gone.

    The image is there at once, as SAVING (D88). Raises NotNow.
    """
    row = server_changes.lock_live(conn, scope, server_id)
    if row is None:
        return None
    _check_state(row, "createImage", ("ACTIVE", "STOPPED"))
    _set_task(conn, server_id, "image_snapshot")
    image_id = image_changes.create_snapshot(
        conn, scope, server_id=server_id, name=new.name, client=new.metadata,
        instance_ref=f"{new.base_url}/v1.1/servers/{row.uuid}",
    )  # fmt: skip
    requested = _enqueue(
        conn, scope, row, action="createImage", kind="snapshot", step="image_snapshot",
        params={"image": image_id}, message=f"Image {image_id} accepted",
        deadline_seconds=deadline_seconds,
    )  # fmt: skip
    return RequestedSnapshot(requested.target, requested.operation_id, image_id)


def console_place(conn: Connection, scope: Scope, server_id: int | str) -> ConsolePlace | None:
    """Where a live server's console is, by id or UUID (R207); None without such a server."""
    by_id = isinstance(server_id, int)
    values = {
        "tenant_id": scope.tenant_id,
        "zone_id": scope.zone_id,
        "id": server_id if by_id else None,
        "uuid": None if by_id else server_id,
    }
    row = conn.execute(_CONSOLE, values).first()
    return None if row is None else ConsolePlace(*row)


def _check_state(row: Row[Any], action: Action, allowed: Collection[str]) -> None:
    """Raises NotNow unless the server has a place and a state of ``allowed``, and no task."""
    if row.vm_state not in allowed or row.host_id is None or row.task_state is not None:
        raise _not_now(row, action, because_of_task=row.vm_state in allowed)


def _not_now(row: Row[Any], action: Action, *, because_of_task: bool) -> NotNow:
    has_task = row.task_state is not None
    return NotNow(
        action, row.vm_state, row.task_state, because_of_task=because_of_task and has_task
    )


def _set_task(conn: Connection, server_id: int, task_state: str) -> None:
    conn.execute(_TASK, {"id": server_id, "task_state": task_state})


def _check_image(conn: Connection, scope: Scope, row: Row[Any], image_id: int) -> None:
    """The server may boot from the image, which stays as it is until the transaction ends."""
    values = {"id": image_id, "zone_id": scope.zone_id, "tenant_id": scope.tenant_id}
    image = conn.execute(_IMAGE, values).first()
    if image is None:
        raise UnknownImage(str(image_id))
    if image.status != "ACTIVE":
        raise ImageNotActive(str(image_id))
    licensed = {"id": row.image_id, "key": LICENSE}
    if image_id != row.image_id and conn.execute(_LICENSED, licensed).scalar_one():
        raise LicensedImage(str(image_id))
    if image.min_ram_mb > row.ram_mb:
        raise FlavorTooSmall("memory")
    if row.root_gb and image.min_disk_gb > row.root_gb:
        raise FlavorTooSmall("disk")


def _enqueue(
    conn: Connection, scope: Scope, row: Row[Any], *, action: Action, kind: str, step: str,
    params: dict[str, Any], message: str, deadline_seconds: float,
) -> Requested:  # fmt: skip
    """The operation, for the server's host. Raises NotNow while another one has the server."""
    host = progress.host_of(conn, row.id)
    assert host is not None
    target = queue.host_target(host)
    try:
        operation_id = queue.enqueue(
            conn, zone_id=scope.zone_id, tenant_id=scope.tenant_id, subject_kind="server",
            subject_id=row.id, kind=kind, step=step, target=target, params=params,
            request_id=scope.request_id, deadline_seconds=deadline_seconds,
        )  # fmt: skip
    except InProgress:
        raise _not_now(row, action, because_of_task=True) from None
    queue.event(conn, operation_id, step=step, actor="api", message=message)
    return Requested(target, operation_id)
