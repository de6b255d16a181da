"""The scheduler's own runner on a real database: placed, spread, or refused with the reason."""

from __future__ import annotations

import pytest

from db.queries import addresses, hosts
from db.settings import settings
from tests.db.test_claims import servers
from tests.db.world import World, add_addresses, add_host
from tests.scheduling import schedule


def test_simultaneous_creates_spread(world: World) -> None:
    servers(world, 20)
    with world.engine.begin() as conn:
        add_addresses(conn, world.scope.zone_id, 30, public=30)
        for number in range(10):
            add_host(conn, f"cmp{number}")
    schedule(world.engine)
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
    schedule(world.engine)
    (server,) = world.rows("SELECT vm_state, fault_message, host_id FROM servers")
    assert tuple(server) == ("ERROR", text, None)
    told = world.rows("SELECT details FROM operation_events WHERE level = 'error'")
    assert [row.details["refused"] for row in told] == [{refused: 1}]
    assert world.one("SELECT count(server_id) FROM fixed_addresses") == 0
    assert world.one("SELECT count(*) FROM allocations") == 0


HELD = """
    SELECT s.id FROM servers s
    WHERE s.host_id IS NOT NULL OR s.id IN (SELECT server_id FROM allocations
          UNION ALL SELECT server_id FROM fixed_addresses WHERE server_id IS NOT NULL
          UNION ALL SELECT server_id FROM public_addresses WHERE server_id IS NOT NULL)
    ORDER BY s.id
"""


@pytest.mark.parametrize(("fixed", "public", "kind"), [(3, 9, "fixed"), (9, 3, "public")])
def test_when_addresses_run_out_servers_end_in_error_and_hold_nothing(
    world: World, fixed: int, public: int, kind: str
) -> None:
    """R112, R216, R217: of many at once as many are placed as there are addresses."""
    ids = servers(world, 8)
    with world.engine.begin() as conn:
        add_addresses(conn, world.scope.zone_id, fixed, public=public)
        add_host(conn, "cmp1")
    schedule(world.engine)
    states = world.rows("SELECT id, vm_state, fault_message FROM servers ORDER BY id")
    placed = [row.id for row in states if row.vm_state == "BUILD"]
    assert [row.id for row in states] == ids
    assert len(placed) == 3
    refused = [row for row in states if row.id not in placed]
    assert {(row.vm_state, row.fault_message) for row in refused} == {
        ("ERROR", "No more addresses are available.")
    }
    assert [row.id for row in world.rows(HELD)] == placed
    assert world.one("SELECT used_ram_mb FROM hosts") == 3 * 128
    for table in ("fixed_addresses", "public_addresses"):
        assert world.one(f"SELECT count(*) FROM {table} WHERE released_at IS NOT NULL") == 0
    told = world.rows("SELECT message, details FROM operation_events WHERE level = 'error'")
    assert [(row.message, row.details) for row in told] == [
        (
            f"No {kind} address is free",
            {"exhausted": {"kind": kind, "addresses": 3, "held": 3, "resting": 0}},
        )
    ] * 5


def test_addresses_that_rest_are_not_given(world: World) -> None:
    """Released less than the quarantine ago: the operator is told that it is these."""
    first, second = servers(world, 2)
    with world.engine.begin() as conn:
        add_addresses(conn, world.scope.zone_id, 2, public=2)
        add_host(conn, "cmp1")
        for server_id in (first, second):
            addresses.claim(conn, zone_id=world.scope.zone_id, server_id=server_id, quarantine=0)
        addresses.release(conn, second)
    schedule(world.engine)
    assert [row.id for row in world.rows(HELD)] == [first]
    (told,) = world.rows("SELECT details FROM operation_events WHERE level = 'error'")
    assert told.details["exhausted"] == {"kind": "fixed", "addresses": 2, "held": 1, "resting": 1}

    (third,) = world.create("later")
    rest = settings().address_quarantine_seconds
    for table in ("fixed_addresses", "public_addresses"):
        world.rows(
            f"UPDATE {table} SET released_at = released_at - make_interval(secs => :rest)"
            " RETURNING id", rest=rest,
        )  # fmt: skip
    schedule(world.engine)
    assert [row.id for row in world.rows(HELD)] == [first, third]


def test_a_zone_without_a_network_gives_no_addresses(world: World) -> None:
    servers(world, 1)
    with world.engine.begin() as conn:
        add_host(conn, "cmp1")
    schedule(world.engine)
    (told,) = world.rows("SELECT details FROM operation_events WHERE level = 'error'")
    assert told.details["exhausted"] == {"kind": "fixed", "addresses": 0, "held": 0, "resting": 0}
    assert world.rows(HELD) == []
