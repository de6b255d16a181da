"""The agent's part of rebuild (R150): REBUILD, REBUILD(block_device_mapping), REBUILD(spawning).

The image is fetched while the guest still runs: most of what can fail, fails then, and costs the
client nothing. The old disks go in one step, after the guest is off; until that step begins, a
failure gives the server its former image back, and a reboot finds the old disks.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, Engine

from compute_agent.driver import Driver
from compute_agent.record import wanted
from db.operations.errors import StepError
from db.operations.queue import Lease
from db.operations.runner import Done, Go, Plan, Result
from db.queries import ends, placement, progress


def rebuild_plan(engine: Engine, driver_of: Callable[[str], Driver]) -> Plan:
    """Rebuild on the hosts that ``driver_of`` knows by the operation's target."""

    def fetch(lease: Lease) -> Result:
        driver_of(lease.target).fetch_images(wanted(engine, lease))
        return _next(lease, "powering_off", None, "Image is here")

    def power_off(lease: Lease) -> Result:
        driver = driver_of(lease.target)
        driver.power_off(lease.subject_id)
        driver.plug(wanted(engine, lease))
        return _next(lease, "block_device_mapping", "block_device_mapping", "Guest is off")

    def replace_disks(lease: Lease) -> Result:
        report = driver_of(lease.target).rebuild_disks(wanted(engine, lease))
        message = report.told("New disks ready")
        return _next(lease, "spawning", "spawning", message, report.level)

    def spawn(lease: Lease) -> Result:
        driver_of(lease.target).spawn(wanted(engine, lease))

        def also(conn: Connection) -> None:
            progress.become_active(conn, lease.subject_id)
            placement.settle(conn, lease.subject_id)

        return Done("Running", also=also)

    steps = {
        "rebuilding": fetch,
        "powering_off": power_off,
        "block_device_mapping": replace_disks,
        "spawning": spawn,
    }
    return Plan("rebuild", steps, failed=_failed)


def _next(lease: Lease, step: str, task: str | None, message: str, level: str = "info") -> Go:
    return Go(
        step, message, level=level,
        also=lambda conn: progress.set_state(conn, lease.subject_id, "REBUILD", task),
    )  # fmt: skip


def _failed(lease: Lease, error: StepError) -> Result:
    """The host keeps what it has: the client may reboot, rebuild again or delete."""

    def also(conn: Connection) -> None:
        ends.fail(conn, lease.subject_id, "rebuild", lease.step, lease.params)

    return Done(str(error), outcome="failed", level="error", error=str(error), also=also)
