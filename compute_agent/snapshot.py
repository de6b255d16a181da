"""The agent's part of createImage: copy the disk, bring it to the image store, forget the copy.

Server and image change in the last commit only: the image is ACTIVE when its bytes are stored and
the host has nothing left of it. An image that was deleted, or whose server is being deleted, ends
the work within a second, also in the middle of a long copy.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection, Engine

from compute_agent.driver import Driver, Still
from db.operations import queue
from db.operations.errors import Fatal, Retry, StepError
from db.operations.queue import Lease
from db.operations.runner import Decide, Done, Go, Plan, Result
from db.queries import ends, image_changes
from db.queries.image_changes import StoredBytes

_LOOK = 1.0  # seconds between two looks whether the image is still wanted
_COPIED = 50  # percent of an image whose disk is copied
_STORED = 99  # percent of one whose bytes are stored; ACTIVE is 100


class SnapshotPlan:
    """Snapshots on the hosts that ``driver_of`` knows by the operation's target."""

    def __init__(self, engine: Engine, driver_of: Callable[[str], Driver]) -> None:
        self._engine = engine
        self._driver_of = driver_of
        self.plan = Plan(
            "snapshot",
            {
                "image_snapshot": self._copy,
                "uploading": self._upload,
                "finishing": self._finish,
                "undoing": self._undo,
            },
            failed=self._failed,
            undo_steps=frozenset({"finishing", "undoing"}),
            long_steps=frozenset({"image_snapshot", "uploading"}),
        )

    def _copy(self, lease: Lease) -> Result:
        still = self._still(lease, 0, _COPIED)
        still()
        self._driver_of(lease.target).take_snapshot(lease.subject_id, _image(lease), still)
        return Go("uploading", "Disk copied")

    def _upload(self, lease: Lease) -> Result:
        still = self._still(lease, _COPIED, _STORED)
        still()
        driver = self._driver_of(lease.target)
        stored = driver.upload_snapshot(lease.subject_id, _image(lease), still)
        facts = {
            "checksum": stored.checksum,
            "size": stored.size,
            "virtual_size": stored.virtual_size,
        }
        message = f"{stored.size} bytes are in the image store"
        return Go("finishing", message, params={**lease.params, **facts}, details=facts)

    def _finish(self, lease: Lease) -> Result:
        self._driver_of(lease.target).discard_snapshots(lease.subject_id)
        params = lease.params
        stored = StoredBytes(params["checksum"], params["size"], params["virtual_size"])

        def end(conn: Connection) -> Done:
            ends.end_task(conn, lease.subject_id, "image_snapshot")
            if image_changes.finish(conn, _image(lease), stored):
                return Done(f"Image {_image(lease)} is active")
            return Done("The image was deleted meanwhile", outcome="cancelled")

        return Decide(end)

    def _failed(self, lease: Lease, error: StepError) -> Result:
        return Go(
            "undoing", str(error), level="error", params={**lease.params, "error": str(error)}
        )

    def _undo(self, lease: Lease) -> Result:
        self._driver_of(lease.target).discard_snapshots(lease.subject_id)
        return Done(
            "Nothing of the copy is left here", outcome="failed", error=lease.params["error"],
            also=lambda conn: ends.fail(conn, lease.subject_id, "snapshot", lease.step),
        )  # fmt: skip

    def _still(self, lease: Lease, first: int, last: int) -> Still:
        """A function that asks the database, once a second at most, whether to go on.

        With the question it says how far the image is, in percent from ``first`` to ``last``.
        It raises LeaseLost, Retry when the server is being deleted, Fatal when the image was or
        the deadline passed.
        """
        looked = float("-inf")

        def still(share: float = 0.0) -> None:
            nonlocal looked
            if time.monotonic() < looked + _LOOK:
                return
            looked = time.monotonic()
            with self._engine.begin() as conn:
                held = queue.hold(conn, lease)
                percent = first + int((last - first) * share)
                wanted = image_changes.show_progress(conn, _image(lease), percent)
            if held.cancelled:
                raise Retry("The server is being deleted")
            if held.overdue:
                raise Fatal("The deadline passed")
            if not wanted:
                raise Fatal("The image was deleted meanwhile")

        return still


def _image(lease: Lease) -> int:
    image_id: int = lease.params["image"]
    return image_id
