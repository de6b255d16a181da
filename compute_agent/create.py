"""The agent's part of create: networking -> block_device_mapping -> spawning -> ACTIVE.

The step that runs is the task state that the client sees (R109). What one host cannot do is undone
there and scheduled elsewhere, on at most three hosts.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, Engine

from compute_agent.driver import Driver
from compute_agent.record import wanted
from db.operations.errors import Fatal, HostFault, StepError
from db.operations.queue import SCHEDULER, Lease, host_name
from db.operations.runner import Done, Go, Plan, Result
from db.queries import agents, progress
from db.queries.ends import CREATE_TOO_LATE

MOST_HOSTS = 3  # hosts that a create tries before it gives up


class CreatePlan:
    """Create on the hosts that ``driver_of`` knows by the operation's target.

    ``protect`` brings the security groups of a target's host into force.
    """

    def __init__(
        self, engine: Engine, driver_of: Callable[[str], Driver], protect: Callable[[str], None]
    ) -> None:
        self._engine = engine
        self._driver_of = driver_of
        self._protect = protect
        self.plan = Plan(
            "create",
            {
                "networking": self._network,
                "block_device_mapping": self._map_disks,
                "spawning": self._spawn,
                "undoing": self._undo,
            },
            failed=self._failed,
            too_late=CREATE_TOO_LATE,
            undo_steps=frozenset({"undoing"}),
        )

    def _network(self, lease: Lease) -> Result:
        server = wanted(self._engine, lease)
        self._driver_of(lease.target).plug(server)
        self._protect(lease.target)
        addresses = [server.fixed_address, *server.public_addresses]
        return self._next(lease, "block_device_mapping", f"Network ready: {', '.join(addresses)}")

    def _map_disks(self, lease: Lease) -> Result:
        report = self._driver_of(lease.target).build_disks(wanted(self._engine, lease))
        return self._next(lease, "spawning", report.told("Disks ready"), report.level)

    def _spawn(self, lease: Lease) -> Result:
        self._driver_of(lease.target).spawn(wanted(self._engine, lease))
        return Done("Running", also=lambda conn: progress.become_active(conn, lease.subject_id))

    def _next(self, lease: Lease, step: str, message: str, level: str = "info") -> Go:
        return Go(
            step,
            message,
            level=level,
            also=lambda conn: progress.set_state(conn, lease.subject_id, "BUILD", step),
        )

    def _failed(self, lease: Lease, error: StepError) -> Result:
        """Undo here first; a host's fault is tried elsewhere, anything else is the end."""
        elsewhere = isinstance(error, HostFault) and len(self._tried(lease)) < MOST_HOSTS
        public = (isinstance(error, Fatal) and error.public) or "The server could not be created."

        def also(conn: Connection) -> None:
            if elsewhere:
                progress.set_state(conn, lease.subject_id, "BUILD", "scheduling")
            else:
                progress.become_faulty(conn, lease.subject_id, public)

        return Go(
            "undoing",
            str(error),
            level="error",
            params={**lease.params, "excluded": self._tried(lease), "elsewhere": elsewhere},
            also=also,
        )

    def _tried(self, lease: Lease) -> list[int]:
        with self._engine.begin() as conn:
            here = agents.host_id(conn, host_name(lease.target))
        return sorted({*lease.params.get("excluded", []), here})

    def _undo(self, lease: Lease) -> Result:
        clear(self._driver_of(lease.target), lease.subject_id)
        if lease.params["elsewhere"]:
            return Go(
                "scheduling",
                "Nothing is left here, trying another host",
                target=SCHEDULER,
                also=lambda conn: progress.release_host(conn, lease.subject_id),
            )
        return Done(
            "Nothing is left here",
            outcome="failed",
            also=lambda conn: progress.release_claims(conn, lease.subject_id),
        )


def clear(driver: Driver, server_id: int) -> None:
    """Nothing of the server is left on the host; the guest goes first, then what it used."""
    driver.power_off(server_id)
    driver.unplug(server_id)
    driver.erase(server_id)
