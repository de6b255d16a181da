"""An image whose host falls silent, goes down or only works on: what the client sees of it (R164).

The agent's plans run on a real database; the host is the fake one of test_agent_actions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from compute_agent import snapshot as plan
from compute_agent.driver import Still
from compute_agent.host import WENT_DOWN
from compute_agent.host import Host as HostOfAgent
from db.operations.runner import part_of
from db.queries import sweep
from db.queries.image_changes import StoredBytes
from tests.db.test_agent_actions import Agent, Host, outcome
from tests.db.test_server_actions import active, do, reboot, snapshot, state
from tests.db.world import World

SILENT = 0.2  # seconds; the tests' Postgres runs for longer
ALL_STEPS = ("image_snapshot", "uploading", "finishing", "undoing")


@pytest.fixture
def agent(world: World) -> Iterator[Agent]:
    made = Agent(world)
    yield made
    made.runner.stop()


def fall_silent(world: World) -> None:
    """The host said nothing for an hour, and renewed no lease."""
    with world.engine.begin() as conn:
        conn.execute(text("UPDATE host_heartbeats SET at = now() - interval '1 h'"))
        conn.execute(text("UPDATE operations SET lease_until = now() - interval '1 h'"
                          " WHERE lease_until IS NOT NULL"))  # fmt: skip


def swept(world: World, silent: float = SILENT) -> int:
    with world.engine.begin() as conn:
        return sweep.fail_snapshots_on_silent_hosts(conn, silent=silent)


def image(world: World) -> Any:
    return world.rows("SELECT * FROM images ORDER BY id DESC LIMIT 1")[0]


def stand(world: World, step: str, attempt: int = 1) -> None:
    with world.engine.begin() as conn:
        conn.execute(
            text(
                "UPDATE operations SET step = :step, attempt = :attempt WHERE finished_at IS NULL"
            ),
            {"step": step, "attempt": attempt},
        )


def reconciled(agent: Agent) -> bool:
    return agent.reconciler().run()


class TestSilentHost:
    @pytest.mark.parametrize("step", ALL_STEPS)
    def test_the_image_ends_in_error_and_its_server_is_free(self, world: World, step: str) -> None:
        """R164: in seconds, not at the deadline; the timeline says why, and only once."""
        server_id = active(world)
        do(world, snapshot(world, server_id))
        stand(world, step)
        fall_silent(world)
        assert swept(world) == 1
        assert state(world, server_id) == ("ACTIVE", None)
        assert image(world).status == "ERROR"
        assert (outcome(world).outcome, outcome(world).error) == ("failed", sweep.SILENT)
        told = world.rows("SELECT * FROM operation_events ORDER BY id DESC LIMIT 1")[0]
        assert (told.step, told.actor, told.level) == (step, "sweeper", "error")
        assert swept(world) == 0

    def test_a_stopped_server_stays_stopped(self, world: World) -> None:
        server_id = active(world)
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE servers SET vm_state = 'STOPPED'"))
        do(world, snapshot(world, server_id))
        fall_silent(world)
        assert swept(world) == 1
        assert state(world, server_id) == ("STOPPED", None)

    def test_a_host_that_is_heard_is_left_alone(self, world: World) -> None:
        do(world, snapshot(world, active(world)))
        assert swept(world, silent=600) == 0
        assert image(world).status == "SAVING"

    def test_a_host_that_holds_its_lease_is_left_alone(self, world: World) -> None:
        do(world, snapshot(world, active(world)))
        fall_silent(world)
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE operations SET lease_owner = 'agent', lease_until ="
                              " now() + interval '1 h' WHERE finished_at IS NULL"))  # fmt: skip
        assert swept(world) == 0

    def test_a_database_that_was_away_is_no_silence_of_hosts(self, world: World) -> None:
        """What no Postgres could have heard says nothing about a host."""
        do(world, snapshot(world, active(world)))
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE host_heartbeats SET at = '1980-01-01'"))
        assert swept(world, silent=1e9) == 0

    def test_other_operations_wait_for_their_deadline(self, world: World) -> None:
        do(world, reboot(world, active(world)))
        fall_silent(world)
        assert swept(world) == 0

    @pytest.mark.parametrize("step", ["take_snapshot", "upload_snapshot", "discard_snapshots"])
    def test_a_host_that_comes_back_in_the_middle_writes_nothing(
        self, world: World, agent: Agent, step: str
    ) -> None:
        """It was cut off only: fenced; its copy goes, and the next image is made as ever."""
        server_id = active(world)
        do(world, snapshot(world, server_id))

        def cut_off() -> None:
            fall_silent(world)
            assert swept(world) == 1

        agent.host.before[step] = cut_off
        agent.work()
        locks, subject = agent.runner.locks, ("server", server_id)
        with locks.holding(subject), locks.holding(part_of(subject)):
            pass  # it has seen that the operation is not its own any more
        assert image(world).status == "ERROR"
        assert state(world, server_id) == ("ACTIVE", None)
        assert outcome(world).error == sweep.SILENT
        assert reconciled(agent)
        assert agent.host.copies == set()

        again = Agent(world, agent.host)
        again.host.before.clear()
        do(world, snapshot(world, server_id))
        again.work()
        again.runner.stop()
        assert image(world).status == "ACTIVE"
        assert world.one("SELECT count(*) FROM images WHERE status = 'ERROR'") == 1


class TestHostThatWentDown:
    def comes_back(self, world: World, boot: str) -> None:
        host = HostOfAgent(world.engine, "cmp1", Host(), boot, Agent(world).runner.locks)
        host.register()

    @pytest.mark.parametrize(
        ("step", "attempt", "ends"),
        [
            ("image_snapshot", 0, False), ("image_snapshot", 1, True), ("uploading", 0, True),
            ("finishing", 1, False), ("undoing", 1, False),
        ],
    )  # fmt: skip
    def test_an_image_that_it_had_begun_ends_in_error(
        self, world: World, step: str, attempt: int, ends: bool
    ) -> None:
        """Its disk is that of a guest which lost power: not what the client asked an image of."""
        server_id = active(world)
        do(world, snapshot(world, server_id))
        stand(world, step, attempt)
        self.comes_back(world, "another boot")
        assert image(world).status == ("ERROR" if ends else "SAVING")
        assert state(world, server_id) == ("ACTIVE", None if ends else "image_snapshot")
        assert (outcome(world).error == WENT_DOWN) == ends

    def test_an_agent_that_is_restarted_alone_goes_on(self, world: World) -> None:
        do(world, snapshot(world, active(world)))
        stand(world, "image_snapshot")
        self.comes_back(world, "boot")
        assert image(world).status == "SAVING"


class Working(Host):
    """A host that tells how far its copies are, and a test what clients see of it then."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__()
        self.look = look

    def take_snapshot(self, server_id: int, image_id: int, still: Still) -> None:
        self.tell(still)

    def upload_snapshot(self, server_id: int, image_id: int, still: Still) -> StoredBytes:
        self.tell(still)
        return super().upload_snapshot(server_id, image_id, still)

    def tell(self, still: Still) -> None:
        for share in (0.5, 0.25, 1.0):  # a step that runs again begins with less
            still(share)
            self.look()


class TestProgress:
    def test_it_grows_while_the_image_is_made(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """R169: first the copy, then the way to the store; 100 when it is ACTIVE, never less."""
        monkeypatch.setattr(plan, "_LOOK", 0)
        seen: list[Any] = []
        agent = Agent(world, Working(lambda: seen.append(image(world))))
        do(world, snapshot(world, active(world)))
        agent.work()
        agent.runner.stop()
        assert [found.progress for found in seen] == [25, 25, 50, 74, 74, 99]
        assert {found.status for found in seen} == {"SAVING"}
        stamps = [found.updated_at for found in seen]
        assert stamps == sorted(stamps)
        assert len(set(stamps)) == 4  # changes-since shows what changed, and nothing else
        assert (image(world).status, image(world).progress) == ("ACTIVE", 100)

    def test_the_database_is_not_asked_at_every_byte(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once a step, and then once in the time between two looks."""
        monkeypatch.setattr(plan, "_LOOK", 3600.0)
        seen: list[int] = []
        agent = Agent(world, Working(lambda: seen.append(image(world).progress)))
        do(world, snapshot(world, active(world)))
        agent.work()
        agent.runner.stop()
        assert seen == [0, 0, 0, 50, 50, 50]
