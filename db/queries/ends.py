"""How operations on servers end when they fail: one place for agents and the sweeper.

When an operation is ended from afar, what its host may still hold stays claimed until the host
confirms that it is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, text

from db.operations import queue
from db.queries import image_changes, placement, progress, server_operations
from db.queries.server_operations import Stuck

CREATE_TOO_LATE = "The server could not be created in time."
_TEXTS = {
    "create": CREATE_TOO_LATE,
    "reboot": "The server could not be rebooted.",
    "rebuild": "The server could not be rebuilt.",
}
_BEFORE_DISKS = ("rebuilding", "powering_off")  # steps of a rebuild that leave the old disks

_END_TASK = text("""
    UPDATE servers SET task_state = NULL, updated_at = clock_timestamp()
    WHERE id = :id AND task_state = :task_state
""")
_RESTORE_IMAGE = text("UPDATE servers SET image_id = :image_id WHERE id = :id")


def end_task(conn: Connection, server_id: int, task_state: str) -> None:
    """The server does not show that task any more."""
    conn.execute(_END_TASK, {"id": server_id, "task_state": task_state})


def fail(
    conn: Connection, server_id: int, kind: str, step: str, params: dict[str, Any] | None = None
) -> None:
    """Show that an operation of ``kind`` ended badly in ``step``.

    A create, reboot or rebuild leaves its server in ERROR with a text for the tenant (R112), a
    snapshot only its image (R164). A rebuild whose old disks are still there gives the server its
    former image back; the claim becomes what the server needs now.
    """
    if kind == "snapshot":
        end_task(conn, server_id, "image_snapshot")
        image_changes.fail_saving(conn, server_id)
        return
    progress.become_faulty(conn, server_id, _TEXTS[kind])
    if kind == "rebuild":
        if step in _BEFORE_DISKS:
            values = {"id": server_id, "image_id": (params or {})["former_image"]}
            conn.execute(_RESTORE_IMAGE, values)
        placement.settle(conn, server_id)


def fail_stuck(conn: Connection, stuck: Iterable[Stuck], message: str, *, actor: str) -> int:
    """End operations that no worker holds as failed; how many. Their workers write nothing more."""
    count = 0
    for found in stuck:
        server_operations.lock(conn, found.server_id)
        if server_operations.fail_unheld(conn, found.id, message):
            fail(conn, found.server_id, found.kind, found.step, found.params)
            queue.event(
                conn, found.id, step=found.step, actor=actor, message=message, level="error"
            )
            count += 1
    return count
