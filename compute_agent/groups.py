"""The host's security groups, made what the database says (R252-R254).

One query tells which groups concern the host and in which generation; the rules and members of
those that are not known are read, what changed is brought into force, and then the database is told
what is. Whoever changes a group tells the hosts concerned to look; a host that does not hear it
finds it by itself within ``sweep_seconds``.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from compute_agent.driver import Driver
from db.operations import faults
from db.queries import group_state
from db.queries.group_state import Concerning, InForce
from db.wanted_firewall import WantedFirewall, WantedGroup


@dataclass(slots=True)
class Groups:
    """Security groups of one host."""

    engine: Engine
    host: str
    driver: Driver
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: dict[int, WantedGroup] = field(default_factory=dict)
    _told: dict[int, InForce] | None = None

    def apply(self, *, afresh: bool = False) -> None:
        """The groups of the host's servers are in force, as the database has them now.

        ``afresh``: even if others changed the rules meanwhile. Raises HostFault.
        """
        with self._lock:
            with self.engine.execution_options(isolation_level="REPEATABLE READ").begin() as conn:
                wanted = self._read(conn)
            faults.stop_here("look", "groups", "before")
            errors = self.driver.protect(wanted, afresh=afresh)
            faults.stop_here("look", "groups", "after")
            self._tell({g.id: InForce(g.generation, errors.get(g.id)) for g in wanted.groups})

    def _read(self, conn: Connection) -> WantedFirewall:
        guests = group_state.guests_on_host(conn, self.host)
        own = {group_id for guest in guests for group_id in guest.groups}
        concerning = group_state.concerning(conn, own)
        fresh = group_state.contents(conn, [c for c in concerning if not self._knows(c)])
        self._known = _only(self._known, concerning) | {group.id: group for group in fresh}
        groups = tuple(self._known[c.id] for c in concerning)
        return WantedFirewall(tuple(guests), groups)

    def _knows(self, wanted: Concerning) -> bool:
        known = self._known.get(wanted.id)
        return (
            known is not None
            and known.generation == wanted.generation
            and wanted.is_own == (known.rules is not None)
            and wanted.is_source == (known.members is not None)
        )

    def _tell(self, in_force: dict[int, InForce]) -> None:
        told = self._told
        if told == in_force:
            return
        changed = {i: now for i, now in in_force.items() if told is None or told.get(i) != now}
        with self.engine.begin() as conn:
            group_state.report(conn, self.host, changed, in_force)
        self._told = in_force


def _only(known: dict[int, WantedGroup], wanted: Iterable[Concerning]) -> dict[int, WantedGroup]:
    ids: Collection[int] = {each.id for each in wanted}
    return {group_id: group for group_id, group in known.items() if group_id in ids}
