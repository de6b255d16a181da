"""``python -m compute_agent``: the agent of one host, or of all fake hosts.

One process per host, by a lock file: what it does under a server's lock in this process is done by
nobody else. The metadata service and DHCP are units of their own and go on without it.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TextIO

from sqlalchemy import Engine

from compute_agent import interface
from compute_agent.create import CreatePlan
from compute_agent.delete import delete_plan
from compute_agent.driver import Driver
from compute_agent.fake import FakeDriver
from compute_agent.host import Host, boot_id
from compute_agent.reboot import reboot_plan
from compute_agent.rebuild import rebuild_plan
from compute_agent.snapshot import SnapshotPlan
from db import log
from db.engine import engine
from db.operations.runner import Locks, Plan, Runner
from db.queries import agents
from db.settings import settings
from scheduler.nudge import nudge
from scheduler.worker import Worker

SETTLE = 0.2  # seconds between two rounds, in which changes of guests are gathered

_logger = log.logger(__name__)


def sole_agent() -> TextIO:
    """Take the host's lock file; the process ends when another agent holds it."""
    directory = settings().state_dir
    directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / "agent.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        _logger.error("another agent runs on this host", lock=str(lock.name))
        sys.exit(1)
    return lock


def make_hosts(locks: Locks) -> list[Host]:
    """The hosts that this process is the agent of."""
    config = settings()
    if config.hypervisor == "fake":
        boot = str(uuid.uuid4())  # a fake host forgets everything when its process ends
        names = [f"fake{number}" for number in range(1, config.fake_hosts + 1)]
        return [Host(engine(), name, FakeDriver(), boot, locks) for name in names]
    from compute_agent.libvirt_driver import LibvirtDriver  # noqa: PLC0415 - needs libvirt

    return [Host(engine(), config.host_name, LibvirtDriver(), boot_id(), locks)]


def plans(
    engine: Engine, driver_of: Callable[[str], Driver], protect: Callable[[str], None]
) -> list[Plan]:
    """All that an agent can do; ``protect`` brings the groups of a target's host into force."""
    return [
        CreatePlan(engine, driver_of, protect).plan,
        reboot_plan(engine, driver_of),
        rebuild_plan(engine, driver_of),
        SnapshotPlan(engine, driver_of).plan,
        delete_plan(driver_of),
    ]


def console_of(drivers: Iterable[Driver], server_id: int, size: int) -> bytes:
    """End of a console, on whichever of this process' hosts the server is."""
    return next((said for driver in drivers if (said := driver.console(server_id, size))), b"")


def register_all(hosts: Sequence[Host]) -> None:
    """Register every host, waiting for database and hypervisor as long as it takes."""
    for host in hosts:
        while host.id is None:
            try:
                host.register()
            except Exception as error:
                _logger.warning("cannot register yet", host=host.name, error=str(error))
                time.sleep(1.0)


def keep_reconciling(host: Host) -> None:
    """All guests now and periodically; those that changed when they do."""
    due = 0.0
    while True:
        everything = time.monotonic() >= due
        try:
            (host.reconcile if everything else host.notice)()
        except Exception as error:
            _logger.warning("reconcile failed", host=host.name, error=str(error))
        if everything:
            due = time.monotonic() + settings().reconcile_seconds
        time.sleep(SETTLE)
        host.wait_for_change(max(due - time.monotonic(), 0))


def keep_alone(hosts: Sequence[Host]) -> None:
    """While the database does not answer, hosts keep their networks by what they know."""
    while True:
        time.sleep(1.0)
        for host in hosts:
            try:
                host.network.restore_when_alone()
            except Exception as error:
                _logger.warning("network not restored", host=host.name, error=str(error))


def start(name: str, target: Callable[..., None], *args: object) -> None:
    """A thread that ends with the process."""
    threading.Thread(target=target, args=args, name=name, daemon=True).start()


def main() -> None:
    """Run the agent until it is told to stop."""
    log.configure("agent")
    lock = sole_agent()
    locks = Locks()
    hosts = make_hosts(locks)
    drivers: dict[str, Driver] = {host.target: host.driver for host in hosts}
    groups = {host.target: host.groups for host in hosts}
    interface.serve(partial(console_of, list(drivers.values())))
    for host in hosts:  # the network first, since it needs no hypervisor
        start("network", host.network.keep)
    start("alone", keep_alone, hosts)
    register_all(hosts)
    runner = Runner(
        engine(),
        owner=f"agent@{hosts[0].name}:{os.getpid()}",
        targets=list(drivers),
        plans=plans(engine(), drivers.__getitem__, lambda target: groups[target].apply()),
        nudge=nudge,
        lease_seconds=settings().lease_seconds,
        threads=settings().agent_threads,
        locks=locks,
    )
    details = {"pid": os.getpid()}

    def beat() -> None:
        boots = {host.id: host.reported_boot for host in hosts if host.id is not None}
        with engine().begin() as conn:
            agents.beat(conn, boots, details)

    beat()
    for host in hosts:
        start("reconcile", keep_reconciling, host)

    def look() -> None:
        for host in hosts:
            host.network.look()

    chores = [("heartbeat", settings().heartbeat_seconds, beat)]
    Worker(runner, queues=list(drivers), chores=chores, look=look).run()
    lock.close()


if __name__ == "__main__":
    main()
