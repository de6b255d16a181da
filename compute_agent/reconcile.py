"""Makes a host equal to what the database wants, without arguments.

Runs at start and periodically, and when a guest changed by itself; calls the same step functions
that operations call. The network is kept by :mod:`compute_agent.keeper`, which does not wait for
this. Rules:

- A server in the hands of an operation is left alone; each server is read again under its lock.
  Nobody is waited for.
- What belongs to a server that the database says is deleted, or that is on another host, goes.
- A server in ERROR keeps what it has on its host, as far as it is still its own.
- What belongs to a server **without any row stays and is reported**: a restored backup must not
  wipe a fleet.
- A guest that shut itself down becomes STOPPED. After a restart of the host itself (a new boot id)
  guests that were ACTIVE are started again, each once, as soon as no operation has it in hand; a
  guest that crashed is started again too, ever more slowly, and left STOPPED when it does nothing
  but crash. The server's timeline says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection, Engine

from compute_agent.create import clear
from compute_agent.driver import Driver, PowerState
from db import log
from db.operations.errors import StepError
from db.operations.runner import Locks, part_of
from db.queries import progress
from db.wanted import WantedServer
from scheduler.nudge import look_at

MOST_RESTARTS = 6  # of one guest within RESTART_MEMORY
RESTART_MEMORY = 600.0  # seconds

_logger = log.logger(__name__)


@dataclass(slots=True)
class Restarts:
    """When guests were started again after a crash: the only memory, and of no consequence."""

    times: dict[int, list[float]] = field(default_factory=dict)

    def next_in(self, server_id: int) -> float | None:
        """Seconds until the next start is due, 0 or less for now; None: no more starts."""
        now = time.monotonic()
        recent = [at for at in self.times.get(server_id, []) if now - at < RESTART_MEMORY]
        self.times[server_id] = recent
        if len(recent) >= MOST_RESTARTS:
            return None
        return recent[-1] + 2.0 ** len(recent) - now if recent else 0.0

    def note(self, server_id: int) -> None:
        """A guest is started again now."""
        self.times.setdefault(server_id, []).append(time.monotonic())


@dataclass(slots=True)
class Reconciler:
    """Reconcile of one host."""

    engine: Engine
    host: str
    driver: Driver
    locks: Locks
    restarts: Restarts = field(default_factory=Restarts)
    lost: set[int] = field(default_factory=set)  # whose guests a restart of the host ended
    lost_known: bool = False

    def run(self, *, host_restarted: bool = False) -> bool:
        """One round over all; whether all of it is true now. One failing server stops no other."""
        self.driver.prepare_host()
        with self.engine.begin() as conn:
            active = progress.active_on_host(conn, self.host)
        wanted = self._wanted()
        if host_restarted and not self.lost_known:
            self.lost, self.lost_known = active, True
        self.lost &= active
        powers, whole = self.driver.power_states(), True
        for server in wanted:
            power = powers.get(server.id, PowerState.SHUTOFF)
            whole &= self._guarded(server.id, partial(self._keep, server.id, power))
        strangers = sorted(self.driver.local_servers() - {server.id for server in wanted})
        for server_id in strangers:
            whole &= self._guarded(server_id, partial(self._judge, server_id))
        for server_id in sorted(self.driver.copied_servers()):
            whole &= self._guarded(server_id, partial(self._tidy, server_id))
        return whole and not self.lost

    def notice(self) -> None:
        """Guests whose power is another one than the database knows."""
        wanted, powers = self._wanted(), self.driver.power_states()
        for server in wanted:
            power = powers.get(server.id, PowerState.SHUTOFF)
            if power != server.power_state:
                self._guarded(server.id, partial(self._keep, server.id, power))

    def _wanted(self) -> list[progress.OnHost]:
        with self.engine.begin() as conn:
            found = progress.on_host(conn, self.host)
        return [server for server in found if server.vm_state != "ERROR"]

    def _guarded(self, server_id: int, act: Callable[[], None]) -> bool:
        """Act on a server unless an operation does; whether it was done."""
        try:
            with self.locks.trying(("server", server_id)) as held:
                if held:
                    act()
                return held
        except StepError as error:
            _logger.warning("not reconciled", server=server_id, error=str(error))
            return False

    def _tidy(self, server_id: int) -> None:
        """Copies of its disk that no snapshot wants, as after one that was ended from afar."""
        with self.locks.trying(part_of(("server", server_id))) as held:
            if not held:
                return
            with self.engine.begin() as conn:
                fate = progress.fates(conn, self.host, [server_id]).get(server_id)
            if fate is not None and not fate.copying:
                self.driver.discard_snapshots(server_id)

    def _keep(self, server_id: int, seen: PowerState) -> None:
        """A server that belongs here: its guest's power is as it should be."""
        with self.engine.begin() as conn:
            fate = progress.fates(conn, self.host, [server_id]).get(server_id)
            server = progress.wanted(conn, server_id)
        if fate is None or fate.busy or fate.deleted or not fate.here or server is None:
            return
        if fate.copying:
            return
        power = seen
        if power != PowerState.RUNNING:  # again, now that nothing else acts on the server
            power = self.driver.power_states().get(server_id, PowerState.SHUTOFF)
        by_host = server_id in self.lost
        lost = power == PowerState.CRASHED or (power == PowerState.SHUTOFF and by_host)
        if lost and fate.vm_state == "ACTIVE":
            wait = 0.0 if by_host else self.restarts.next_in(server_id)
            if wait is not None:
                if wait <= 0:
                    self._start_again(server, power)
                return
            _logger.error("guest does nothing but crash", server=server_id)
        else:
            self.lost.discard(server_id)
        with self.engine.begin() as conn:
            if progress.see_power(conn, server_id, power):
                self._tell(conn, server_id, f"The guest is {power}", "info")

    def _start_again(self, server: WantedServer, was: PowerState) -> None:
        self.restarts.note(server.id)
        self.driver.plug(server)
        self.driver.build_disks(server)
        self.driver.spawn(server)
        self.lost.discard(server.id)
        with self.engine.begin() as conn:
            progress.see_power(conn, server.id, PowerState.RUNNING)
            self._tell(conn, server.id, f"The guest was {was} and is started again", "warning")

    def _tell(self, conn: Connection, server_id: int, message: str, level: str) -> None:
        progress.note(conn, server_id, actor=f"agent@{self.host}", message=message, level=level)
        _logger.info("power state", server=server_id, message=message)

    def _judge(self, server_id: int) -> None:
        """Something of a server that should not be here."""
        with self.engine.begin() as conn:
            fate = progress.fates(conn, self.host, [server_id]).get(server_id)
        if fate is None:
            _logger.error("unknown server left alone", server=server_id)
        elif fate.deleted and not fate.busy and not fate.copying:
            _logger.warning("clearing a deleted server", server=server_id)
            clear(self.driver, server_id)
            if fate.here:
                with self.engine.begin() as conn:
                    hosts = progress.release_all(conn, server_id)
                look_at(hosts)
        elif not fate.here and not fate.busy and not fate.copying:
            _logger.warning("clearing a server of another host", server=server_id)
            clear(self.driver, server_id)
