"""The scheduler's part of delete: end what runs on the server, then send the host to clean up."""

from __future__ import annotations

from sqlalchemy import Connection

from db.operations.queue import Lease, host_target
from db.operations.runner import Decide, Done, Go, Plan, Result, Wait
from db.queries import group_state, progress, server_operations


def delete_plan() -> Plan:
    """The scheduler's plan of delete; it never gives up."""
    return Plan("delete", {"cancelling": _cancel})


def _cancel(lease: Lease) -> Result:
    return Decide(lambda conn: _decide(conn, lease))


def _decide(conn: Connection, lease: Lease) -> Go | Done | Wait:
    """A cancelled operation ends by itself between two steps, or here when nobody holds it."""
    server_operations.lock(conn, lease.subject_id)
    if server_operations.end_unheld(conn, lease.subject_id) == "held":
        return Wait(1.0, "Waiting for the running step to end")
    host = progress.host_of(conn, lease.subject_id)
    if host is None:
        return Done(
            "Deleted; it was on no host",
            also=lambda conn: progress.release_all(conn, lease.subject_id),
        )
    looks = group_state.hosts_without(conn, lease.subject_id)  # of one on a silent host
    return Go("powering_off", f"Clean up on {host}", target=host_target(host), looks=looks)
