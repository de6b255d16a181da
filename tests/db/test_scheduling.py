"""The scheduler's own runner on a real database: placed, spread, or refused with the reason."""

from __future__ import annotations

import time

import pytest

from db.operations.runner import Runner
from db.queries import hosts
from scheduler.create import create_plan
from tests.db.test_claims import servers
from tests.db.world import World, add_addresses, add_host


def schedule(world: World) -> None:
    """Run every due operation of the scheduler, four at a time; returns when all were tried."""
    runner = Runner(
        world.engine,
        owner="scheduler@test",
        targets=["scheduler"],
        plans=[create_plan()],
        nudge=lambda target, operation: None,
        lease_seconds=10,
        threads=4,
    )
    due = "SELECT count(*) FROM operations WHERE target = 'scheduler' AND finished_at IS NULL"
    deadline = time.monotonic() + 30
    while world.one(due):
        runner.poll()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    runner.stop()


def test_simultaneous_creates_spread(world: World) -> None:
    servers(world, 20)
    with world.engine.begin() as conn:
        add_addresses(conn, world.scope.zone_id, 30, public=30)
        for number in range(10):
            add_host(conn, f"cmp{number}")
    schedule(world)
    counts = world.rows("SELECT count(*) AS servers FROM allocations GROUP BY host_id")
    assert [row.servers for row in counts] == [2] * 10
    states = world.rows("SELECT DISTINCT vm_state, task_state FROM servers")
    assert [tuple(row) for row in states] == [("BUILD", "networking")]


@pytest.mark.parametrize(
    ("host", "refused", "text"),
    [
        ({"ram_mb": 64}, "ram", "No host has 128 MB of memory free."),
        ({"vcpus": 0}, "vcpu", "No host has 1 virtual processors free."),
        ({"disk_gb": 0}, "disk", "No host has 1 GB of disk free."),
        ({}, "enabled", "No host is available."),
    ],
)
def test_what_fits_nowhere_ends_in_error_with_the_reason(
    world: World, host: dict[str, int], refused: str, text: str
) -> None:
    """R112: a text for the tenant, counts per filter for the operator, and nothing claimed."""
    servers(world, 1)
    with world.engine.begin() as conn:
        add_addresses(conn, world.scope.zone_id, 5, public=5)
        add_host(conn, "cmp1", **host)
        if refused == "enabled":
            assert hosts.set_enabled(conn, "cmp1", enabled=False, reason="test")
    schedule(world)
    (server,) = world.rows("SELECT vm_state, fault_message, host_id FROM servers")
    assert tuple(server) == ("ERROR", text, None)
    told = world.rows("SELECT details FROM operation_events WHERE level = 'error'")
    assert [row.details["refused"] for row in told] == [{refused: 1}]
    assert world.one("SELECT count(server_id) FROM fixed_addresses") == 0
    assert world.one("SELECT count(*) FROM allocations") == 0
