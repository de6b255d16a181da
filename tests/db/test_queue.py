"""Slots, leases and fences of operations (architecture: the life of a server)."""

from __future__ import annotations

import time
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from db.operations import queue
from db.operations.errors import InProgress, LeaseLost
from db.operations.queue import Lease
from tests.db.world import World, at_once

TARGET = "host.cmp1"


def put(conn: Connection, world: World, kind: str = "reboot", subject: int = 7, **more: Any) -> int:
    return queue.enqueue(
        conn, zone_id=world.scope.zone_id, tenant_id=world.scope.tenant_id, subject_kind="server",
        subject_id=subject, kind=kind, step="first", target=TARGET, request_id="req-1", **more,
    )  # fmt: skip


def take(world: World, operation: int, owner: str = "a", seconds: float = 30) -> Lease | None:
    with world.engine.begin() as conn:
        return queue.lease(conn, operation, targets=[TARGET], owner=owner, seconds=seconds)


def held(world: World, operation: int, owner: str = "a", seconds: float = 30) -> Lease:
    lease = take(world, operation, owner, seconds)
    assert lease is not None
    return lease


@pytest.fixture
def operation(world: World) -> int:
    with world.engine.begin() as conn:
        return put(conn, world)


def state(world: World, operation: int) -> dict[str, Any]:
    (row,) = world.rows("SELECT * FROM operations WHERE id = :id", id=operation)
    return dict(row._mapping)


class TestSlots:
    def test_of_two_exclusive_ones_at_once_one_wins(self, world: World) -> None:
        ends = at_once([lambda conn: put(conn, world)] * 8)
        assert sum(isinstance(end, int) for end in ends) == 1
        assert sum(isinstance(end, InProgress) for end in ends) == 7

    def test_another_kind_is_no_way_around(self, world: World, operation: int) -> None:
        with world.engine.begin() as conn, pytest.raises(InProgress):
            put(conn, world, "resize")

    def test_delete_has_a_slot_of_its_own(self, world: World, operation: int) -> None:
        with world.engine.begin() as conn:
            put(conn, world, "delete")
            with pytest.raises(InProgress):
                put(conn, world, "delete")

    def test_a_slot_is_free_when_its_operation_ends(self, world: World, operation: int) -> None:
        lease = held(world, operation)
        with world.engine.begin() as conn:
            queue.finish(conn, lease, "done")
            put(conn, world)

    def test_other_subjects_have_slots_of_their_own(self, world: World, operation: int) -> None:
        with world.engine.begin() as conn:
            put(conn, world, subject=8)

    def test_the_database_itself_refuses_a_second(self, world: World, operation: int) -> None:
        with pytest.raises(IntegrityError, match="uq_operations_live_exclusive"):
            world.rows(
                "INSERT INTO operations (zone_id, subject_kind, subject_id, kind, step, target,"
                " request_id) VALUES (:zone, 'server', 7, 'rebuild', 's', 't', 'r') RETURNING id",
                zone=world.scope.zone_id,
            )


class TestLeases:
    def test_one_of_many_workers_gets_it(self, world: World, operation: int) -> None:
        ends = at_once(
            [
                lambda conn, n=n: queue.lease(
                    conn, operation, targets=[TARGET], owner=f"w{n}", seconds=30
                )
                for n in range(16)
            ]
        )
        assert sum(isinstance(end, Lease) for end in ends) == 1
        assert sum(end is None for end in ends) == 15

    def test_a_held_one_is_not_given_again(self, world: World, operation: int) -> None:
        held(world, operation)
        assert take(world, operation, "b") is None
        assert take(world, operation, "a") is None

    def test_an_expired_one_is_taken_again_with_the_next_number(
        self, world: World, operation: int
    ) -> None:
        first = held(world, operation, "a", 0.05)
        time.sleep(0.1)
        with world.engine.begin() as conn:
            assert queue.due(conn, [TARGET], 10) == [operation]
        second = held(world, operation, "b")
        assert second.seq == first.seq + 1
        assert second.attempt == first.attempt + 1

    def test_renewal_keeps_it(self, world: World, operation: int) -> None:
        held(world, operation, "a", 0.2)
        with world.engine.begin() as conn:
            queue.renew(conn, [operation], owner="a", seconds=30)
        time.sleep(0.3)
        assert take(world, operation, "b") is None

    def test_only_its_owner_renews(self, world: World, operation: int) -> None:
        held(world, operation, "a", 0.05)
        with world.engine.begin() as conn:
            queue.renew(conn, [operation], owner="b", seconds=30)
        time.sleep(0.1)
        assert take(world, operation, "b") is not None

    def test_it_is_given_for_its_targets_only(self, world: World, operation: int) -> None:
        with world.engine.begin() as conn:
            assert queue.lease(conn, operation, targets=["x"], owner="a", seconds=9) is None
            assert queue.due(conn, ["x"], 10) == []

    def test_what_waits_is_not_due(self, world: World, operation: int) -> None:
        lease = held(world, operation)
        with world.engine.begin() as conn:
            queue.postpone(conn, lease, 60, "later")
            assert queue.due(conn, [TARGET], 10) == []
        assert take(world, operation) is None

    def test_longest_waiting_first(self, world: World) -> None:
        with world.engine.begin() as conn:
            ids = [put(conn, world, subject=n) for n in range(3)]
            conn.execute(
                text("UPDATE operations SET run_after = run_after - interval '1 h' WHERE id = :id"),
                {"id": ids[2]},
            )
            assert queue.due(conn, [TARGET], 2) == [ids[2], ids[0]]


class TestFence:
    """A worker that lost its lease writes nothing."""

    @pytest.fixture
    def stale(self, world: World, operation: int) -> Lease:
        lease = held(world, operation, "a", 0.05)
        time.sleep(0.1)
        held(world, operation, "b")
        return lease

    @pytest.mark.parametrize(
        "write",
        [
            queue.hold,
            lambda conn, lease: queue.advance(conn, lease, step="second"),
            lambda conn, lease: queue.advance(conn, lease, step="second", target="scheduler"),
            lambda conn, lease: queue.postpone(conn, lease, 1, "error"),
            lambda conn, lease: queue.finish(conn, lease, "done"),
        ],
        ids=["hold", "advance", "hand over", "postpone", "finish"],
    )
    def test_a_stale_worker(self, world: World, operation: int, stale: Lease, write: Any) -> None:
        before = state(world, operation)
        with pytest.raises(LeaseLost), world.engine.begin() as conn:
            write(conn, stale)
        assert state(world, operation) == before

    def test_the_same_owner_with_an_old_number(self, world: World, operation: int) -> None:
        first = held(world, operation, "a", 0.05)
        time.sleep(0.1)
        second = held(world, operation, "a")
        with world.engine.begin() as conn:
            with pytest.raises(LeaseLost):
                queue.advance(conn, first, step="second")
            assert queue.advance(conn, second, step="second") is not None

    def test_an_expired_lease_that_nobody_took(self, world: World, operation: int) -> None:
        lease = held(world, operation, "a", 0.05)
        time.sleep(0.1)
        with world.engine.begin() as conn, pytest.raises(LeaseLost):
            queue.hold(conn, lease)

    def test_after_the_end(self, world: World, operation: int) -> None:
        lease = held(world, operation)
        with world.engine.begin() as conn:
            queue.finish(conn, lease, "done")
            with pytest.raises(LeaseLost):
                queue.finish(conn, lease, "failed")
        assert state(world, operation)["outcome"] == "done"


class TestSteps:
    def test_the_next_step_starts_with_fresh_attempts(self, world: World, operation: int) -> None:
        with world.engine.begin() as conn:
            queue.postpone(conn, held(world, operation), 0, "busy")
        lease = held(world, operation)
        assert lease.attempt == 2
        with world.engine.begin() as conn:
            following = queue.advance(conn, lease, step="second", params={"x": 1})
        assert following is not None
        assert (following.step, following.attempt, following.params) == ("second", 0, {"x": 1})
        assert following.seq == lease.seq

    def test_another_target_takes_it_over(self, world: World, operation: int) -> None:
        with world.engine.begin() as conn:
            assert queue.advance(conn, held(world, operation), step="s", target="other") is None
            assert queue.due(conn, ["other"], 10) == [operation]

    def test_cancel_and_deadline_are_seen(self, world: World) -> None:
        with world.engine.begin() as conn:
            operation = put(conn, world, deadline_seconds=-1)
        lease = held(world, operation)
        world.rows("UPDATE operations SET cancel_requested_at = now() RETURNING id")
        with world.engine.begin() as conn:
            seen = queue.hold(conn, lease)
        assert (seen.cancelled, seen.overdue) == (True, True)

    def test_the_end_wakes_what_waited_for_it(self, world: World, operation: int) -> None:
        lease = held(world, operation)
        with world.engine.begin() as conn:
            delete = put(conn, world, "delete")
            conn.execute(
                text("UPDATE operations SET run_after = now() + interval '1 h' WHERE id = :id"),
                {"id": delete},
            )
            queue.finish(conn, lease, "cancelled")
            assert queue.unblocked(conn, lease) == [(TARGET, delete)]
            assert queue.due(conn, [TARGET], 10) == [delete]
