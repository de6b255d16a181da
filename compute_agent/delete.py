"""The agent's part of delete: from any half-made state to nothing, and it never gives up."""

from __future__ import annotations

from collections.abc import Callable

from compute_agent.driver import Driver
from db.operations.queue import Lease
from db.operations.runner import Done, Go, Plan, Result
from db.queries import progress


def delete_plan(driver_of: Callable[[str], Driver]) -> Plan:
    """Delete on the hosts that ``driver_of`` knows by the operation's target."""

    def power_off(lease: Lease) -> Result:
        driver_of(lease.target).power_off(lease.subject_id)
        return Go("unplugging", "Guest is off")

    def unplug(lease: Lease) -> Result:
        driver_of(lease.target).unplug(lease.subject_id)
        return Go("erasing", "Network is gone")

    def erase(lease: Lease) -> Result:
        driver_of(lease.target).erase(lease.subject_id)
        return Done(
            "Deleted, nothing is left",
            also=lambda conn: progress.release_all(conn, lease.subject_id),
        )

    return Plan("delete", {"powering_off": power_off, "unplugging": unplug, "erasing": erase})
