"""Makes a host equal to what the database wants, without arguments and without memory.

Runs at start, when a guest changed by itself, on ``look`` and periodically, and calls the same step
functions that operations call. Rules:

- A server in the hands of an operation is left alone; each server is read again under its lock.
- What belongs to a server that the database says is deleted, or that is on another host, goes.
- What belongs to a server **without any row stays and is reported**: a restored backup must not
  wipe a fleet.
- A guest that shut itself down becomes STOPPED. After a restart of the host itself (a new boot id)
  guests that were ACTIVE are started again; a guest that crashed is started again too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Engine

from compute_agent.create import clear
from compute_agent.driver import Driver, PowerState
from db import log
from db.operations.errors import StepError
from db.operations.runner import Locks
from db.queries import agents, progress
from db.wanted import WantedServer

_logger = log.logger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Reconcile of one host."""

    engine: Engine
    host: str
    zone: str
    driver: Driver
    locks: Locks

    def prepare(self) -> None:
        """What is the host's own: bridge, base rules, connection."""
        with self.engine.begin() as conn:
            network = agents.network_of_zone(conn, self.zone)
        self.driver.prepare_host(network)

    def run(self, *, host_restarted: bool = False) -> bool:
        """One round; whether all of it is true now. One failing server stops no other."""
        self.prepare()
        with self.engine.begin() as conn:
            wanted = progress.wanted_on_host(conn, self.host)
        whole = True
        for server in wanted:
            whole &= self._guarded(server.id, partial(self._keep, server, host_restarted))
        strangers = sorted(self.driver.local_servers() - {server.id for server in wanted})
        for server_id in strangers:
            whole &= self._guarded(server_id, partial(self._judge, server_id))

        return whole

    def _guarded(self, server_id: int, act: Callable[[], None]) -> bool:
        try:
            with self.locks.holding(("server", server_id)):
                act()
        except StepError as error:
            _logger.warning("not reconciled", server=server_id, error=str(error))
            return False
        return True

    def _keep(self, seen: WantedServer, host_restarted: bool) -> None:
        """A server that belongs here: network whole, power as it should be."""
        with self.engine.begin() as conn:
            fate = progress.fates(conn, self.host, [seen.id]).get(seen.id)
            server = progress.wanted(conn, seen.id)
        if fate is None or fate.busy or fate.deleted or not fate.here or server is None:
            return
        self.driver.plug(server)
        power = self.driver.power_states().get(server.id, PowerState.SHUTOFF)
        lost = power == PowerState.CRASHED or (power == PowerState.SHUTOFF and host_restarted)
        if lost and fate.vm_state == "ACTIVE":
            _logger.info("starting again", server=server.id, was=power)
            self.driver.build_disks(server)
            self.driver.spawn(server)
            power = PowerState.RUNNING
        with self.engine.begin() as conn:
            if progress.see_power(conn, server.id, power):
                _logger.info("power state", server=server.id, power=power)

    def _judge(self, server_id: int) -> None:
        """Something of a server that should not be here."""
        with self.engine.begin() as conn:
            fate = progress.fates(conn, self.host, [server_id]).get(server_id)
        if fate is None:
            _logger.error("unknown server left alone", server=server_id)
        elif fate.deleted and not fate.busy:
            _logger.warning("clearing a deleted server", server=server_id)
            clear(self.driver, server_id)
            if fate.here:
                with self.engine.begin() as conn:
                    progress.release_all(conn, server_id)
        elif not fate.here and not fate.busy:
            _logger.warning("clearing a server of another host", server=server_id)
            clear(self.driver, server_id)
