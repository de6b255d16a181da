"""The scheduler's part of create: choose a host and claim it, with addresses, in one commit."""

from __future__ import annotations

from sqlalchemy import Connection

from db.operations.errors import Fatal, StepError
from db.operations.queue import Lease, host_target
from db.operations.runner import Decide, Done, Go, Plan, Result
from db.queries import addresses, group_state, placement, progress
from db.queries.addresses import Exhausted
from db.queries.ends import CREATE_TOO_LATE
from db.queries.placement import Candidate, Needs
from db.settings import settings
from scheduler.weights import best_first, room_after

CHOICES = 8  # times that the best host is looked for while others claim


class NothingFits(Fatal):
    """No host fits; ``refused`` counts hosts by the filter that refused them."""

    def __init__(self, wanted: Needs, refused: dict[str, int]) -> None:
        super().__init__(f"No host fits: {_counts(refused)}", explain(wanted, refused))
        self.refused = refused
        self.wanted = wanted


def explain(wanted: Needs, refused: dict[str, int]) -> str:
    """For the tenant: the limiting resource, without anything about the hosts."""
    if refused.get("tried"):  # it fits, but those that have room could not do it
        return "The server could not be created."
    if refused.get("ram"):
        return f"No host has {wanted.ram_mb} MB of memory free."
    if refused.get("vcpu"):
        return f"No host has {wanted.vcpus} virtual processors free."
    if refused.get("disk"):
        return f"No host has {wanted.disk_gb} GB of disk free."
    return "No host is available."


def _counts(refused: dict[str, int]) -> str:
    if not refused:
        return "there are no hosts"
    return ", ".join(f"{count} refused by {name}" for name, count in sorted(refused.items()))


def create_plan() -> Plan:
    """The scheduler's plan of create."""
    return Plan("create", {"scheduling": _schedule}, failed=_failed, too_late=CREATE_TOO_LATE)


def _schedule(lease: Lease) -> Result:
    """Choosing and claiming are the commit itself, so that nobody sees half of it."""
    return Decide(lambda conn: _place(conn, lease))


def _place(conn: Connection, lease: Lease) -> Go:
    config = settings()
    excluded = lease.params.get("excluded", [])
    wanted = placement.needs(conn, lease.subject_id)
    host, seen = _claim_best(conn, wanted, excluded)
    if host is None:
        refused = placement.refusals(conn, wanted, excluded=excluded, silent=config.silent_seconds)
        raise NothingFits(wanted, refused)
    addresses.claim(
        conn,
        zone_id=lease.zone_id,
        server_id=lease.subject_id,
        quarantine=config.address_quarantine_seconds,
    )
    progress.place(conn, lease.subject_id, host.id, "networking")
    looks = group_state.members_changed(conn, lease.subject_id)
    return Go(
        "networking",
        f"Placed on {host.name}",
        target=host_target(host.name),
        looks=looks,
        details={
            "host": host.name,
            "candidates": seen,
            "room_after": round(room_after(host, wanted), 3),
            "needs": needs_of(wanted),
        },
    )


def _claim_best(
    conn: Connection, wanted: Needs, excluded: list[int]
) -> tuple[Candidate | None, int]:
    """Claim the best host that fits; also the number of those that did.

    Simultaneous creates would all take what each saw as the emptiest host. So the best is claimed
    as it was seen, and looked for again when others were quicker, before any that fits will do.
    """
    silent = settings().silent_seconds
    hosts: list[Candidate] = []
    for _ in range(CHOICES):
        hosts = best_first(
            placement.candidates(conn, wanted, excluded=excluded, silent=silent), wanted
        )
        for host in hosts[:1]:
            if placement.claim(conn, wanted, host.id, seen_ram_mb=host.used_ram_mb):
                return host, len(hosts)
    for host in hosts:
        if placement.claim(conn, wanted, host.id):
            return host, len(hosts)
    return None, 0


def needs_of(wanted: Needs) -> dict[str, int]:
    """What the server takes, as the timeline shows it."""
    return {"vcpus": wanted.vcpus, "ram_mb": wanted.ram_mb, "disk_gb": wanted.disk_gb}


def _failed(lease: Lease, error: StepError) -> Result:
    """Nothing is claimed in this step, so there is nothing to undo: the server ends in ERROR."""
    public = error.public if isinstance(error, Fatal) and error.public else "No host is available."

    def also(conn: Connection) -> list[str]:
        progress.become_faulty(conn, lease.subject_id, public)
        return progress.release_claims(conn, lease.subject_id)

    def end(conn: Connection) -> Done:
        return Done(
            str(error), outcome="failed", level="error", error=str(error), also=also,
            details=_details(conn, lease, error),
        )  # fmt: skip

    return Decide(end)


def _details(conn: Connection, lease: Lease, error: StepError) -> dict[str, object]:
    """What the operator is told beside the message."""
    if isinstance(error, NothingFits):
        return {"refused": error.refused, "needs": needs_of(error.wanted)}
    if isinstance(error, Exhausted):
        quarantine = settings().address_quarantine_seconds
        found = addresses.shortage(conn, lease.zone_id, error.kind, quarantine=quarantine)
        return {"exhausted": {"kind": error.kind, **found}}
    return {}
