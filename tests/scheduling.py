"""The scheduler's own runner, for tests that have a database and no processes."""

from __future__ import annotations

import time

from sqlalchemy import Engine, text

from db.operations.runner import Runner
from scheduler.create import create_plan

DUE = "SELECT count(*) FROM operations WHERE target = 'scheduler' AND finished_at IS NULL"


def schedule(engine: Engine) -> None:
    """Run every due create of the scheduler, four at a time; returns when all were tried."""
    runner = Runner(
        engine,
        owner="scheduler@test",
        targets=["scheduler"],
        plans=[create_plan()],
        nudge=lambda target, operation: None,
        lease_seconds=10,
        threads=4,
    )
    deadline = time.monotonic() + 30
    while _due(engine):
        runner.poll()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    runner.stop()


def _due(engine: Engine) -> int:
    with engine.begin() as conn:
        return int(conn.execute(text(DUE)).scalar_one())
