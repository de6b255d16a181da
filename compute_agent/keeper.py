"""A host's network, kept as the database says, whatever else of the host is in trouble.

It runs in a thread of its own and never waits for the hypervisor or for the metadata service: a
rule that a client took away must not stay because libvirtd hangs. Everything is looked at
periodically, and at once when somebody took the rules away; what changed is brought into force when
somebody says so, the host's security groups first, and a round over everything stops for it.

While the database does not answer, what the host itself knows of its servers is kept in force.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from compute_agent.driver import Driver
from compute_agent.groups import Groups
from db import log
from db.operations import faults
from db.operations.errors import StepError
from db.operations.runner import Locks
from db.queries import agents, progress
from db.queries.progress import OnHost
from db.settings import settings

ALONE = 15.0  # seconds without an answer of the database
REST = 1.0  # seconds without a try after one that failed
# Seconds between two rounds, in which hints to look are gathered: more where a round takes longer.
LEAST_SETTLE, MOST_SETTLE, SETTLE_PER_ROUND = 0.05, 0.3, 3.0

_logger = log.logger(__name__)


@dataclass(slots=True)
class NetworkKeeper:
    """Keeps the network of one host."""

    engine: Engine
    host: str
    zone: str
    driver: Driver
    locks: Locks
    groups: Groups
    _hinted: threading.Event = field(default_factory=threading.Event)  # something is to be done
    _lost: threading.Event = field(default_factory=threading.Event)  # rules are gone
    _answered: float = field(default_factory=time.monotonic)  # when the database did, last
    _restored: float = 0.0

    def look(self) -> None:
        """Something changed in the database."""
        self._hinted.set()

    def lose(self) -> None:
        """Somebody took rules away."""
        self._lost.set()
        self._hinted.set()

    def keep(self) -> None:
        """Keep the network for ever."""
        due = 0.0
        while True:
            begun = time.monotonic()
            everything = begun >= due or self._lost.is_set()
            try:
                (self.round if everything else self.catch_up)()
            except Exception as error:
                _logger.warning("network not compared", host=self.host, error=str(error))
                time.sleep(REST)
            if everything:
                due = time.monotonic() + settings().reconcile_seconds
            took = 0.0 if everything else time.monotonic() - begun
            time.sleep(min(max(LEAST_SETTLE, SETTLE_PER_ROUND * took), MOST_SETTLE))
            self._hinted.wait(min(settings().sweep_seconds, max(due - time.monotonic(), 0)))

    def prepare(self) -> None:
        """What is the host's own: bridge, base rules, DHCP."""
        with self.engine.begin() as conn:
            network = agents.network_of_zone(conn, self.zone)
        self.driver.prepare_network(network)

    def round(self) -> bool:
        """All of it is in force; whether it is. One failing server stops no other.

        What was taken away is there again before the database is asked, as it was.
        """
        if self._lost.is_set():
            self.driver.restore()
            self._lost.clear()  # not before: what fails is tried again
        try:
            self.prepare()
        except (OperationalError, InterfaceError):
            self.driver.restore()
            raise
        self._hinted.clear()
        whole = self._protect(afresh=True)
        for server in self._servers():
            if self._hinted.is_set() and not self._lost.is_set():
                self.catch_up()
            whole &= self._keep(server.id)
        return whole

    def catch_up(self) -> None:
        """What changed is in force: the groups, then servers of another generation."""
        self._hinted.clear()
        self._protect()
        for server in self._servers():
            if self.driver.plugged_generation(server.id) != server.generation:
                self._keep(server.id)

    def restore_when_alone(self) -> None:
        """While the database does not answer: what is known here is in force, now and then."""
        now = time.monotonic()
        if now - self._answered < ALONE:
            return
        if self._lost.is_set() or now - self._restored >= settings().reconcile_seconds:
            _logger.warning("database does not answer, network kept as it was", host=self.host)
            self.driver.restore()
            self._lost.clear()
            self._restored = now

    def _servers(self) -> list[OnHost]:
        """The host's servers; of those in ERROR, of which the host may have nothing, what it has.

        An address that such a one lost is another's by now.
        """
        with self.engine.begin() as conn:
            found = progress.on_host(conn, self.host)
        self._answered = time.monotonic()
        return [
            server
            for server in found
            if server.vm_state != "ERROR" or self.driver.plugged_generation(server.id) is not None
        ]

    def _protect(self, *, afresh: bool = False) -> bool:
        """The groups are in force; whether they are. Servers do not wait for it to succeed."""
        try:
            self.groups.apply(afresh=afresh)
        except StepError as error:
            _logger.error("security groups not in force", host=self.host, error=str(error))
            return False
        return True

    def _keep(self, server_id: int) -> bool:
        """The network of a server that no operation has in hand is whole; whether it was done."""
        try:
            with self.locks.trying(("server", server_id)) as held:
                if held:
                    self._plug(server_id)
                return held
        except StepError as error:
            _logger.warning("network not whole", server=server_id, error=str(error))
            return False

    def _plug(self, server_id: int) -> None:
        with self.engine.begin() as conn:
            fate = progress.fates(conn, self.host, [server_id]).get(server_id)
            server = progress.wanted(conn, server_id)
        if fate is None or fate.busy or fate.deleted or not fate.here or server is None:
            return
        faults.stop_here("look", "server", "before")
        self.driver.keep_plugged(server)
        faults.stop_here("look", "server", "after")
