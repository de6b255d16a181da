"""One host as its agent sees it: what it tells the database, and when it compares itself."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

from sqlalchemy import Engine

from compute_agent.driver import Driver
from compute_agent.groups import Groups
from compute_agent.keeper import NetworkKeeper
from compute_agent.reconcile import Reconciler
from db import log
from db.operations.queue import host_target
from db.operations.runner import Locks
from db.queries import agents, ends, server_operations
from db.settings import settings

BOOT_ID = Path("/run/undercast-boot-id")  # /run is empty after a restart of the machine
WENT_DOWN = "The host went down while the image was made"

_logger = log.logger(__name__)


def boot_id() -> str:
    """Id of this boot of the host: made once in /run, so a restart of the host changes it."""
    if not BOOT_ID.exists():
        temporary = BOOT_ID.with_suffix(".new")
        temporary.write_text(str(uuid.uuid4()))
        temporary.rename(BOOT_ID)
    return BOOT_ID.read_text()


class Host:
    """Registration, heartbeat and reconcile of one host."""

    def __init__(self, engine: Engine, name: str, driver: Driver, boot: str, locks: Locks) -> None:
        self.name = name
        self.driver = driver
        self.target = host_target(name)
        self.id: int | None = None
        self._engine = engine
        self._boot = boot
        self._known_boot: str | None = None
        zone = settings().host_zone
        self.groups = Groups(engine, name, driver)
        self.network = NetworkKeeper(engine, name, zone, driver, locks, self.groups)
        self._reconciler = Reconciler(engine, name, driver, locks)
        self._changed = threading.Event()  # a guest, by itself
        driver.on_change(self._changed.set)
        driver.on_loss(self.network.lose)

    def register(self) -> None:
        """Prepare the host, then say what it has and that no former agent holds its work."""
        self.network.prepare()
        self.driver.prepare_host()
        config, found = settings(), self.driver.resources()
        facts = {
            "name": self.name,
            "zone": config.host_zone,
            "management_address": config.management_address,
            "hypervisor": found.hypervisor,
            "vcpus": found.vcpus,
            "ram_mb": found.ram_mb,
            "disk_gb": found.disk_gb,
            "vcpu_ratio": config.vcpu_ratio,
            "ram_ratio": config.ram_ratio,
            "disk_ratio": config.disk_ratio,
            "reserved_ram_mb": config.reserved_ram_mb,
        }
        with self._engine.begin() as conn:
            host_id = agents.register(conn, facts)
            self._known_boot = agents.last_boot(conn, host_id)
            agents.let_go(conn, [self.target])
        if self._restarted:
            self._end_snapshots()
        self.id = host_id
        _logger.info("host registered", host=self.name, restarted=self._restarted, **facts)

    def _end_snapshots(self) -> None:
        """Images that were being made when the host went down: what they were of is gone."""
        with self._engine.begin() as conn:
            begun = server_operations.begun_snapshots(conn, self.target)
            ends.fail_stuck(conn, begun, WENT_DOWN, actor=f"agent@{self.name}")

    @property
    def _restarted(self) -> bool:
        return self._known_boot != self._boot

    @property
    def reported_boot(self) -> str:
        """Boot id for the heartbeat: this boot's once its guests were started again.

        Until then the former one (or none), so that an agent that dies meanwhile starts over.
        """
        return self._known_boot or ""

    def notice(self) -> None:
        """Guests that changed by themselves are dealt with now."""
        self._changed.clear()
        self._reconciler.notice()

    def reconcile(self) -> None:
        """One round now; the first after a restart of the host starts its guests again."""
        self._changed.clear()
        if self._reconciler.run(host_restarted=self._restarted):
            self._known_boot = self._boot

    def wait_for_change(self, seconds: float) -> bool:
        """Return when a guest changed, at the latest after ``seconds``; whether one did."""
        return self._changed.wait(seconds)
