"""The agent's part of reboot (R148): the guest goes off, and runs from its record as it is now."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from compute_agent.driver import Driver
from compute_agent.record import wanted
from db.operations.errors import StepError
from db.operations.queue import Lease
from db.operations.runner import Done, Go, Plan, Result
from db.queries import ends, progress


def reboot_plan(engine: Engine, driver_of: Callable[[str], Driver]) -> Plan:
    """Reboot on the hosts that ``driver_of`` knows by the operation's target.

    It brings back a server in ERROR too, whatever of it is missing on its host.
    """

    def power_off(lease: Lease) -> Result:
        driver_of(lease.target).power_off(lease.subject_id)
        return Go("starting", "Guest is off")

    def start(lease: Lease) -> Result:
        driver, server = driver_of(lease.target), wanted(engine, lease)
        driver.plug(server)
        driver.build_disks(server)
        driver.spawn(server)
        return Done("Running", also=lambda conn: progress.become_active(conn, lease.subject_id))

    def failed(lease: Lease, error: StepError) -> Result:
        return Done(
            str(error), outcome="failed", level="error", error=str(error),
            also=lambda conn: ends.fail(conn, lease.subject_id, "reboot", lease.step),
        )  # fmt: skip

    return Plan("reboot", {"powering_off": power_off, "starting": start}, failed=failed)
