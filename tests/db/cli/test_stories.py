"""``undercast server`` and ``undercast operation``: what happened, why, and what is stuck."""

from __future__ import annotations

from typing import Any

import pytest

from db.operations import queue
from db.operations.queue import Lease
from db.queries import addresses, floating_ips, progress, server_changes
from tests.db.cli.conftest import Undercast
from tests.db.world import World, add_addresses, add_host
from tests.scheduling import schedule

NEEDS = {"vcpus": 1, "ram_mb": 128, "disk_gb": 1}


@pytest.fixture
def server(world: World) -> int:
    """A server that waits for the scheduler."""
    (server_id,) = world.create("web")
    return server_id


def leased(world: World) -> Lease:
    with world.engine.begin() as conn:
        (operation,) = queue.due(conn, ["scheduler"], 1)
        lease = queue.lease(
            conn, operation, targets=["scheduler"], owner="scheduler@ctl", seconds=30
        )
    assert lease is not None
    return lease


def say(world: World, operation: int, message: str, **more: Any) -> None:
    with world.engine.begin() as conn:
        queue.event(
            conn, operation, step="scheduling", actor="scheduler@ctl", message=message, **more
        )


def refuse(world: World, server: int, refused: dict[str, int]) -> None:
    """The scheduler finds no host."""
    lease = leased(world)
    details = {"refused": refused, "needs": NEEDS}
    say(world, lease.id, "No host fits", level="error", details=details)
    with world.engine.begin() as conn:
        progress.become_faulty(conn, server, "No host has 128 MB of memory free.")
        queue.finish(conn, lease, "failed", "No host fits")


def place(world: World, server: int) -> None:
    """The scheduler chooses cmp1, and the guest comes up."""
    lease = leased(world)
    details = {"host": "cmp1", "candidates": 2, "room_after": 0.75, "needs": NEEDS}
    say(world, lease.id, "Placed on cmp1", details=details)
    with world.engine.begin() as conn:
        host = add_host(conn, "cmp1")
        add_addresses(conn, world.scope.zone_id, 5, public=5)
        addresses.claim(conn, zone_id=world.scope.zone_id, server_id=server, quarantine=0)
        progress.place(conn, server, host, "spawning")
        progress.become_active(conn, server)
        queue.finish(conn, lease, "done")


class TestList:
    def test_filters(self, undercast: Undercast, world: World, server: int) -> None:
        place(world, server)
        world.create("other", world.stranger)
        (old,) = world.create("old")
        with world.engine.begin() as conn:
            server_changes.forget(conn, old)

        def names(*words: str) -> list[str]:
            return [row["name"] for row in undercast.json("server", "list", *words)]

        assert names() == ["other", "web"]
        assert names("--tenant", "tenant of ann") == ["web"]
        assert names("--host", "cmp1") == ["web"]
        assert names("--host", "cmp9") == []
        assert names("--status", "active") == ["web"]
        assert names("--status", "BUILD") == ["other"]
        assert names("--status", "build(scheduling)") == ["other"]
        assert names("--status", "DELETED") == ["old"]
        assert names("--limit", "1") == ["other"]
        undercast.refused(2, "server", "list", "--status", "JUNK")

    def test_a_record(self, undercast: Undercast, world: World, server: int) -> None:
        place(world, server)
        (row,) = undercast.json("server", "list")
        assert row["fixed"] == "10.0.0.10"
        assert row["public"] == ["15.185.16.1"]
        assert (row["host"], row["status"]) == ("cmp1", "ACTIVE")
        assert undercast.json("server", "show", server) == row
        assert undercast.json("server", "show", row["uuid"].upper()) == row
        assert undercast.json("server", "show", "web") == row
        said = undercast.table("server", "list")
        assert "15.185.16.1" in said
        assert "ACTIVE" in said

    def test_a_deleted_one_is_found_by_id_only(
        self, undercast: Undercast, world: World, server: int
    ) -> None:
        with world.engine.begin() as conn:
            server_changes.forget(conn, server)
        assert undercast.json("server", "show", server)["status"] == "DELETED"
        undercast.refused(3, "server", "show", "web")

    def test_a_name_that_several_have(self, undercast: Undercast, world: World) -> None:
        ids = world.create("web", min_count=2, max_count=2)
        said = undercast.refused(1, "server", "timeline", "web")
        assert f"{ids[0]}, {ids[1]}" in said


class TestTimeline:
    def test_all_operations_as_one_story(
        self, undercast: Undercast, world: World, server: int
    ) -> None:
        place(world, server)
        with world.engine.begin() as conn:
            server_changes.request_delete(conn, world.scope, server, silent_seconds=15)
        lines = undercast.json("server", "timeline", server)
        assert [(line["kind"], line["message"]) for line in lines] == [
            ("create", "Create accepted"),
            ("create", "Placed on cmp1"),
            ("delete", "Delete accepted"),
        ]
        assert lines[0]["delta"] == 0
        assert all(line["delta"] >= 0 for line in lines)
        assert {line["request_id"] for line in lines} == {"req-1"}
        assert lines[1]["details"]["needs"] == NEEDS
        said = undercast.table("server", "timeline", "web")
        assert "Server 1 web: ACTIVE(deleting)" in said
        assert said.index("Create accepted") < said.index("Placed") < said.index("Delete")
        assert "+0 ms" in said


class TestWhy:
    def test_refused(self, undercast: Undercast, world: World, server: int) -> None:
        refuse(world, server, {"ram": 2, "zone": 1, "newfilter": 1})
        answer = undercast.json("server", "why", server)
        assert answer["verdict"] == "refused"
        assert answer["refused"] == {"ram": 2, "zone": 1, "newfilter": 1}
        assert answer["needs"] == NEEDS
        assert answer["fault"] == "No host has 128 MB of memory free."
        said = undercast.table("server", "why", server)
        assert (
            "None of 4 hosts fitted: 2 without enough memory free; 1 refused by newfilter;"
            " 1 in another zone." in said
        )
        assert "It needs 1 vcpu, 128 MB of memory, 1 GB of disk." in said
        assert "No host has 128 MB of memory free." in said

    def test_no_hosts_at_all(self, undercast: Undercast, world: World, server: int) -> None:
        refuse(world, server, {})
        assert "no hosts at all" in undercast.table("server", "why", server)

    def test_no_address_was_free(self, undercast: Undercast, world: World, server: int) -> None:
        with world.engine.begin() as conn:
            add_host(conn, "cmp1")
            add_addresses(conn, world.scope.zone_id, 5, public=1)
            made = floating_ips.allocate(conn, world.scope, pool=None, quarantine=0)
            floating_ips.release(conn, world.scope, made.id)
        schedule(world.engine)
        answer = undercast.json("server", "why", server)
        assert (answer["verdict"], answer["refused"]) == ("refused", None)
        assert answer["fault"] == "No more addresses are available."
        assert answer["exhausted"] == {"kind": "public", "addresses": 1, "held": 0, "resting": 1}
        said = undercast.table("server", "why", server)
        assert (
            "None of its zone's 1 public addresses was free (held: 0, resting after their"
            " release: 1); see `undercast pool list`." in said
        )

    def test_no_addresses_at_all(self, undercast: Undercast, world: World, server: int) -> None:
        with world.engine.begin() as conn:
            add_host(conn, "cmp1")
        schedule(world.engine)
        said = undercast.table("server", "why", server)
        assert "Its zone has no fixed addresses; see `undercast network`." in said

    def test_placed(self, undercast: Undercast, world: World, server: int) -> None:
        place(world, server)
        answer = undercast.json("server", "why", "web")
        assert (answer["verdict"], answer["host"]) == ("placed", "cmp1")
        assert (answer["candidates"], answer["room_after"]) == (2, 0.75)
        said = undercast.table("server", "why", "web")
        assert "It is on cmp1, best of 2 that fit." in said
        assert "75%" in said
        assert "Request req-1" in said

    def test_waiting(self, undercast: Undercast, world: World, server: int) -> None:
        assert undercast.json("server", "why", server)["verdict"] == "waiting"
        say(world, leased(world).id, "Redis is away", level="warning")
        assert "Redis is away" in undercast.table("server", "why", server)

    def test_failed(self, undercast: Undercast, world: World, server: int) -> None:
        say(world, leased(world).id, "The disk broke", level="error")
        with world.engine.begin() as conn:
            progress.become_faulty(conn, server, "The server could not be created.")
        answer = undercast.json("server", "why", server)
        assert answer["verdict"] == "failed"
        assert "It failed in step scheduling: The disk broke" in answer["sentences"]

    def test_a_timeline_that_says_nothing(
        self, undercast: Undercast, world: World, server: int
    ) -> None:
        place(world, server)
        world.rows("UPDATE operation_events SET details = '{}' RETURNING id")
        assert "It is on cmp1." in undercast.table("server", "why", server)
        world.rows("DELETE FROM operation_events RETURNING id")
        assert "It is on cmp1." in undercast.table("server", "why", server)

    def test_deleted(self, undercast: Undercast, world: World, server: int) -> None:
        with world.engine.begin() as conn:
            server_changes.forget(conn, server)
        assert undercast.json("server", "why", server)["verdict"] == "deleted"


class TestOperations:
    def test_list_and_show(self, undercast: Undercast, world: World, server: int) -> None:
        (live,) = undercast.json("operation", "list", "--live")
        assert (live["kind"], live["state"], live["subject_name"]) == ("create", "live", "web")
        place(world, server)
        assert undercast.json("operation", "list", "--live") == []
        (done,) = undercast.json("operation", "list")
        assert (done["state"], done["stuck"]) == ("done", None)
        shown = undercast.json("operation", "show", done["id"])
        assert [event["message"] for event in shown["events"]][-1] == "Placed on cmp1"
        assert "Placed on cmp1" in undercast.table("operation", "show", done["id"])
        assert "server 1 (web)" in undercast.table("operation", "list")

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ("deadline = now() - interval '60 s'", "past its deadline"),
            ("lease_until = now() - interval '60 s'", "its lease ran out"),
            ("run_after = now() - interval '60 s'", "nobody takes it"),
        ],
    )
    def test_stuck(
        self, undercast: Undercast, world: World, server: int, change: str, reason: str
    ) -> None:
        assert undercast.json("operation", "list", "--stuck") == []
        world.rows(f"UPDATE operations SET {change} RETURNING id")
        (stuck,) = undercast.json("operation", "list", "--stuck")
        assert reason in stuck["stuck"]
        assert f"live, stuck: {stuck['stuck']}" in undercast.table("operation", "list", "--stuck")

    @pytest.mark.parametrize(
        "change",
        [
            "deadline = now() - interval '5 s'",
            "lease_until = now() - interval '5 s'",
            "run_after = now() - interval '5 s'",
            "run_after = now() + interval '1 h'",
            "run_after = now() - interval '1 h', lease_until = now() + interval '5 s'",
        ],
    )
    def test_what_heals_itself_is_not_stuck(
        self, undercast: Undercast, world: World, server: int, change: str
    ) -> None:
        world.rows(f"UPDATE operations SET {change} RETURNING id")
        assert undercast.json("operation", "list", "--stuck") == []

    def test_the_newest_first_and_only_so_many(self, undercast: Undercast, world: World) -> None:
        world.create(min_count=5, max_count=5)
        rows = undercast.json("operation", "list", "--limit", 2)
        assert [row["id"] for row in rows] == [5, 4]


def test_no_text_of_a_client_is_taken_for_markup(undercast: Undercast, world: World) -> None:
    (server_id,) = world.create("[bold]web[/bold] a")
    assert "[bold]web[/bold] a" in undercast.table("server", "list")
    world.rows("UPDATE servers SET name = E'a\\x1b[31mb' RETURNING id")
    assert "\x1b" not in undercast.table("server", "show", server_id)
