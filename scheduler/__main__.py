"""``python -m scheduler``: places servers and sweeps."""

import os
import socket

from db import image_store, log
from db.engine import engine
from db.operations.queue import SCHEDULER
from db.operations.runner import Runner
from db.queries import sweep
from db.settings import settings
from scheduler.create import create_plan
from scheduler.delete import delete_plan
from scheduler.nudge import nudge
from scheduler.worker import Chore, Worker

THREADS = 4
STORE_SECONDS = 60.0  # between two looks through the image store
STORE_REST = 3600.0  # seconds that new bytes may wait in the image store for their image


def sweep_once() -> None:
    """One round of the sweeper, by whichever scheduler gets the lock."""
    config = settings()
    with engine().begin() as conn:
        if sweep.lead(conn):
            sweep.fail_overdue(conn, grace=config.silent_seconds)
            sweep.fail_snapshots_on_silent_hosts(conn, silent=config.snapshot_silent_seconds)
            sweep.forget_on_silent_hosts(conn, silent=config.silent_seconds)
            sweep.drop_expired_tokens(conn)
            sweep.drop_expired_keys(conn)


def sweep_store() -> None:
    """The same for the bytes of images; two schedulers do it twice, with no harm."""
    image_store.sweep(engine(), image_store.store(), rest=STORE_REST)


def main() -> None:
    """Run the scheduler until it is told to stop."""
    log.configure("scheduler")
    runner = Runner(
        engine(),
        owner=f"scheduler@{socket.gethostname()}:{os.getpid()}",
        targets=[SCHEDULER],
        plans=[create_plan(), delete_plan()],
        nudge=nudge,
        lease_seconds=settings().lease_seconds,
        threads=THREADS,
    )
    chores: list[Chore] = [
        ("sweep", settings().sweep_seconds, sweep_once),
        ("store", STORE_SECONDS, sweep_store),
    ]
    Worker(runner, queues=[SCHEDULER], chores=chores).run()


if __name__ == "__main__":
    main()
