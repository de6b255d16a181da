"""The agent's plans of actions, run by its own runner on a real database; the host is a fake one.

What real hosts do is in tests/faults and tests/e2e. Here hosts fail on demand, and deletes come in
the middle of steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest
from sqlalchemy import text

from compute_agent.__main__ import plans
from compute_agent.driver import PowerState, Still
from compute_agent.fake import FakeDriver
from compute_agent.groups import Groups
from compute_agent.guest_files import Injected
from compute_agent.keeper import ALONE, NetworkKeeper
from compute_agent.reconcile import Reconciler
from db.operations.errors import HostFault, Retry
from db.operations.runner import Runner
from db.queries import image_changes, operations, server_changes, sweep
from db.queries.image_changes import StoredBytes
from db.wanted import WantedServer
from tests.db.test_server_actions import (
    GIB,
    active,
    balanced,
    do,
    image,
    reboot,
    rebuild,
    snapshot,
    state,
)
from tests.db.world import ZONE, World

HOST = "host.cmp1"
STORED = StoredBytes("5" * 64, 7, GIB)


class Host(FakeDriver):
    """A fake host whose methods fail, or are met by an event, as a test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Callable[[], None]] = {}
        self.done: list[str] = []
        self.copies: set[int] = set()

    def plug(self, server: WantedServer) -> None:
        self._do("plug")
        super().plug(server)

    def plug_id(self, server_id: int) -> None:
        """Something of the server is here."""
        self._plugged[server_id] = 0

    @contextmanager
    def halted(self, server_id: int) -> Iterator[None]:
        """The guest shut itself down."""
        self._domains[server_id] = PowerState.SHUTOFF
        yield
        del self._domains[server_id]

    def copied_servers(self) -> set[int]:
        return set(self.copies)

    def _do(self, name: str) -> None:
        self.before.get(name, lambda: None)()
        self.done.append(name)

    def power_off(self, server_id: int) -> None:
        self._do("power_off")
        super().power_off(server_id)

    def fetch_images(self, server: WantedServer) -> None:
        self._do("fetch_images")

    def rebuild_disks(self, server: WantedServer) -> Injected:
        self._do("rebuild_disks")
        return Injected(("/meta.js",), ("/etc (a directory)",))

    def spawn(self, server: WantedServer) -> None:
        self._do("spawn")
        super().spawn(server)

    def take_snapshot(self, server_id: int, image_id: int, still: Still) -> None:
        self._do("take_snapshot")
        self.copies.add(server_id)
        time.sleep(1.1)  # longer than between two looks
        still()

    def upload_snapshot(self, server_id: int, image_id: int, still: Still) -> StoredBytes:
        self._do("upload_snapshot")
        return STORED

    def discard_snapshots(self, server_id: int) -> None:
        self._do("discard_snapshots")
        self.copies.discard(server_id)


@dataclass
class Agent:
    world: World
    host: Host = field(default_factory=Host)

    def __post_init__(self) -> None:
        self.groups = Groups(self.world.engine, "cmp1", self.host)
        self.runner = Runner(
            self.world.engine, owner="agent@test", targets=[HOST], nudge=lambda target, i: None,
            plans=plans(
                self.world.engine, {HOST: self.host}.__getitem__, lambda _: self.groups.apply()
            ),
            lease_seconds=10, threads=2,
        )  # fmt: skip

    def reconciler(self) -> Reconciler:
        """That of the host's guests."""
        return Reconciler(self.world.engine, "cmp1", self.host, self.runner.locks)

    def keeper(self) -> NetworkKeeper:
        """That of the host's network."""
        return NetworkKeeper(
            self.world.engine, "cmp1", ZONE, self.host, self.runner.locks, self.groups
        )

    def work(self) -> None:
        """Run until no operation of the host is left."""
        live = "SELECT count(*) FROM operations WHERE target = :t AND finished_at IS NULL"
        deadline = time.monotonic() + 30
        while self.world.one(live, t=HOST):
            self.runner.poll()
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def agent(world: World) -> Iterator[Agent]:
    made = Agent(world)
    yield made
    made.runner.stop()


def fails(reason: str = "broken") -> None:
    raise HostFault(reason)


def outcome(world: World) -> Any:
    return world.rows("SELECT kind, outcome, error FROM operations ORDER BY id DESC LIMIT 1")[0]


def fault(world: World) -> str:
    return str(world.one("SELECT fault_message FROM servers"))


class TestReboot:
    def test_from_every_state_to_active(self, world: World, agent: Agent) -> None:
        """R148."""
        server_id = active(world)
        for vm_state in ("ACTIVE", "STOPPED", "ERROR"):
            with world.engine.begin() as conn:
                conn.execute(
                    text("UPDATE servers SET vm_state = :s, fault_message = 'old'"), {"s": vm_state}
                )
            do(world, reboot(world, server_id))
            agent.work()
            assert state(world, server_id) == ("ACTIVE", None)
            assert agent.host.power_states() == {server_id: PowerState.RUNNING}
        assert agent.host.done == ["power_off", "plug", "spawn"] * 3
        assert world.one("SELECT fault_message FROM servers") is None

    def test_a_host_that_cannot_leaves_it_in_error(self, world: World, agent: Agent) -> None:
        """R112: with a text for the tenant, its place kept, and a second reboot brings it back."""
        server_id = active(world)
        agent.host.before["spawn"] = fails
        do(world, reboot(world, server_id))
        agent.work()
        assert state(world, server_id) == ("ERROR", None)
        assert fault(world) == "The server could not be rebooted."
        assert outcome(world).error == "broken"
        assert world.one("SELECT count(*) FROM allocations") == 1
        agent.host.before.clear()
        do(world, reboot(world, server_id))
        agent.work()
        assert state(world, server_id) == ("ACTIVE", None)


class TestRebuild:
    def test_the_states_in_their_order(self, world: World, agent: Agent) -> None:
        """R114, wire-notes 8.2; the claim is the new image's at the end."""
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE images SET virtual_size = :s"), {"s": 30 * GIB})
        server_id = active(world)
        seen: list[tuple[str, str | None]] = []
        for name in ("fetch_images", "power_off", "rebuild_disks", "spawn"):
            agent.host.before[name] = lambda: seen.append(state(world, server_id))
        small = image(world, "small")
        do(world, rebuild(world, server_id, small))
        assert world.one("SELECT used_disk_gb FROM hosts") == 30
        agent.work()
        assert seen == [
            ("ACTIVE", "rebuilding"), ("REBUILD", None), ("REBUILD", "block_device_mapping"),
            ("REBUILD", "spawning"),
        ]  # fmt: skip
        assert state(world, server_id) == ("ACTIVE", None)
        assert world.one("SELECT image_id FROM servers") == small
        assert world.one("SELECT used_disk_gb FROM hosts") == 1
        assert balanced(world)

    @pytest.mark.parametrize(
        ("step", "keeps_old"),
        [("fetch_images", True), ("power_off", True), ("rebuild_disks", False), ("spawn", False)],
    )
    def test_failing_in_a_step(
        self, world: World, agent: Agent, step: str, keeps_old: bool
    ) -> None:
        """The record names the image that the disks are of; the ledger follows (security 18)."""
        server_id = active(world)
        large = image(world, "large", virtual_size=40 * GIB)
        agent.host.before[step] = fails
        do(world, rebuild(world, server_id, large))
        agent.work()
        assert state(world, server_id) == ("ERROR", None)
        assert fault(world) == "The server could not be rebuilt."
        expected = (world.image, 1) if keeps_old else (large, 40)
        assert world.one("SELECT image_id FROM servers") == expected[0]
        assert world.one("SELECT used_disk_gb FROM hosts") == expected[1]
        assert balanced(world)

    def test_one_that_is_too_late(self, world: World, agent: Agent) -> None:
        server_id = active(world)
        do(world, rebuild(world, server_id, world.image))
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE operations SET deadline = now() - interval '1 s'"))
        agent.work()
        assert state(world, server_id) == ("ERROR", None)
        assert agent.host.done == []


class TestSnapshot:
    def image(self, world: World) -> Any:
        return world.rows("SELECT * FROM images ORDER BY id DESC LIMIT 1")[0]

    def test_both_change_in_the_last_commit(self, world: World, agent: Agent) -> None:
        """R164: SAVING, then ACTIVE; the server shows its task as long."""
        server_id = active(world)
        seen: list[Any] = []
        for name in ("take_snapshot", "upload_snapshot", "discard_snapshots"):
            agent.host.before[name] = lambda: seen.append(
                (state(world, server_id), self.image(world).status)
            )
        do(world, snapshot(world, server_id))
        agent.work()
        assert seen == [(("ACTIVE", "image_snapshot"), "SAVING")] * 3
        assert state(world, server_id) == ("ACTIVE", None)
        made = self.image(world)
        assert (made.status, made.progress, made.checksum) == ("ACTIVE", 100, STORED.checksum)
        assert (made.size, made.virtual_size) == (STORED.size, STORED.virtual_size)
        assert agent.host.copies == set()

    def test_of_a_stopped_server_it_stays_stopped(self, world: World, agent: Agent) -> None:
        server_id = active(world)
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE servers SET vm_state = 'STOPPED'"))
        do(world, snapshot(world, server_id))
        agent.work()
        assert state(world, server_id) == ("STOPPED", None)

    @pytest.mark.parametrize("step", ["take_snapshot", "upload_snapshot"])
    def test_a_failure_is_the_images_alone(self, world: World, agent: Agent, step: str) -> None:
        server_id = active(world)
        agent.host.before[step] = fails
        do(world, snapshot(world, server_id))
        agent.work()
        assert state(world, server_id) == ("ACTIVE", None)
        assert self.image(world).status == "ERROR"
        assert world.one("SELECT fault_message FROM servers") is None
        assert outcome(world).outcome == "failed"
        assert agent.host.copies == set()

    def test_many_at_once_leave_threads_for_others(self, world: World, agent: Agent) -> None:
        """Of two threads one copies; the other reboots, and the second copy waits its turn."""
        first, second, third = (active(world, name) for name in ("first", "second", "third"))
        copying, go_on = Event(), Event()

        def wait() -> None:
            copying.set()
            assert go_on.wait(30)

        agent.host.before["take_snapshot"] = wait
        for server_id in (first, second):
            do(world, snapshot(world, server_id))
        agent.runner.poll()
        assert copying.wait(30)
        do(world, reboot(world, third))
        live = "SELECT count(*) FROM operations WHERE kind = 'reboot' AND finished_at IS NULL"
        deadline = time.monotonic() + 30
        while world.one(live):
            agent.runner.poll()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert agent.host.done.count("take_snapshot") == 0
        go_on.set()
        agent.work()
        saved = world.one("SELECT count(*) FROM images WHERE source_server_id IS NOT NULL"
                          " AND status = 'ACTIVE'")  # fmt: skip
        assert saved == 2

    @pytest.mark.parametrize("step", ["take_snapshot", "upload_snapshot", "discard_snapshots"])
    def test_an_image_that_is_deleted_in_the_middle(
        self, world: World, agent: Agent, step: str
    ) -> None:
        """R170: it stays deleted, nothing is left, and the server goes on."""
        server_id = active(world)
        requested = do(world, snapshot(world, server_id))

        def delete() -> None:
            with world.engine.begin() as conn:
                image_changes.delete(conn, world.scope, requested.image_id)

        agent.host.before[step] = delete
        agent.work()
        assert state(world, server_id) == ("ACTIVE", None)
        assert self.image(world).status == "DELETED"
        assert agent.host.copies == set()

    @pytest.mark.parametrize("step", ["take_snapshot", "upload_snapshot", "discard_snapshots"])
    def test_a_server_that_is_deleted_in_the_middle(
        self, world: World, agent: Agent, step: str
    ) -> None:
        """D60: the delete is accepted, the snapshot ends, its image is in ERROR."""
        server_id = active(world)
        do(world, snapshot(world, server_id))

        def delete() -> None:
            with world.engine.begin() as conn:
                server_changes.request_delete(conn, world.scope, server_id, silent_seconds=15)

        agent.host.before[step] = delete
        agent.work()
        assert state(world, server_id) == ("ACTIVE", "deleting")
        assert self.image(world).status == "ERROR"


class TestReconcile:
    """What a host does by itself while, and after, an image is made of a server."""

    def reconciler(self, agent: Agent) -> Reconciler:
        return agent.reconciler()

    def test_the_network_is_kept_while_a_disk_is_copied(self, world: World, agent: Agent) -> None:
        """R252: changed rules do not wait for the copy; nobody touches the guest or the copy."""
        server_id = active(world)
        do(world, snapshot(world, server_id))
        copying, go_on = Event(), Event()

        def wait() -> None:
            copying.set()
            assert go_on.wait(30)

        agent.host.before["take_snapshot"] = wait
        agent.runner.poll()
        assert copying.wait(30)
        agent.host.copies.add(server_id)
        assert agent.keeper().round()
        assert self.reconciler(agent).run()
        assert agent.host.local_servers() == {server_id}  # plugged, and no domain is there
        assert agent.host.done == ["plug"]
        go_on.set()
        agent.work()
        assert agent.host.copies == set()

    def test_nobody_is_waited_for(self, world: World, agent: Agent) -> None:
        """A step that takes long stops no other server's reconcile."""
        server_id, other = active(world), active(world, "other")
        do(world, reboot(world, server_id))
        off, go_on = Event(), Event()

        def wait() -> None:
            off.set()
            assert go_on.wait(30)

        agent.host.before["power_off"] = wait
        agent.host.plug_id(server_id)
        agent.runner.poll()
        assert off.wait(30)
        assert agent.keeper().round()
        assert not self.reconciler(agent).run()
        assert other in agent.host.local_servers()
        go_on.set()
        agent.work()

    def test_a_server_in_error_keeps_no_address_that_it_lost(
        self, world: World, agent: Agent
    ) -> None:
        """D40: whatever became of its former owner, a moved address is on one host only."""
        here, nowhere = active(world), active(world, "nowhere")
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE servers SET vm_state = 'ERROR', generation = 7"))
        agent.host.plug_id(here)
        assert agent.keeper().round()
        assert self.reconciler(agent).run()
        assert agent.host.plugged_generation(here) == 7
        assert agent.host.plugged_generation(nowhere) is None
        assert agent.host.power_states() == {}
        assert state(world, here) == ("ERROR", None)

    def test_the_network_waits_for_no_hypervisor(self, world: World, agent: Agent) -> None:
        """R253: what a client takes away goes also while the hypervisor is dead."""

        def dead() -> dict[int, PowerState]:
            raise Retry("libvirtd does not answer")

        server_id = active(world)
        agent.host.power_states = dead  # type: ignore[method-assign]
        agent.host.prepare_host = dead  # type: ignore[method-assign,assignment]
        keeper = agent.keeper()
        assert keeper.round()
        assert agent.host.plugged_generation(server_id) == 1
        with world.engine.begin() as conn:
            conn.execute(text("UPDATE servers SET generation = 2"))
        keeper.catch_up()
        assert agent.host.plugged_generation(server_id) == 2
        with pytest.raises(Retry):
            self.reconciler(agent).run()

    def test_alone_the_host_keeps_what_it_knows(
        self, world: World, agent: Agent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A database that hangs raises nothing; only the time tells."""
        restored: list[int] = []
        agent.host.restore = lambda: restored.append(1)  # type: ignore[method-assign]
        active(world)
        keeper = agent.keeper()
        assert keeper.round()
        keeper.restore_when_alone()
        assert not restored
        now = time.monotonic() + ALONE
        monkeypatch.setattr("compute_agent.keeper.time.monotonic", lambda: now)
        keeper.restore_when_alone()
        keeper.restore_when_alone()
        assert len(restored) == 1
        keeper.lose()
        keeper.restore_when_alone()
        assert len(restored) == 2
        keeper.catch_up()
        keeper.lose()
        keeper.restore_when_alone()
        assert len(restored) == 2

    def test_what_was_taken_away_is_tried_until_it_is_back(
        self, world: World, agent: Agent
    ) -> None:
        """A restore that fails does not wait for the next period."""
        tries: list[int] = []

        def restore() -> None:
            tries.append(1)
            if len(tries) == 1:
                raise HostFault("nft is in a hurry")

        agent.host.restore = restore  # type: ignore[method-assign]
        keeper = agent.keeper()
        keeper.lose()
        with pytest.raises(HostFault):
            keeper.round()
        assert keeper.round()
        assert keeper.round()
        assert len(tries) == 2

    def test_a_copy_that_nobody_wants_any_more_goes(self, world: World, agent: Agent) -> None:
        """As when the sweeper ended a snapshot while its host was silent."""
        server_id = active(world)
        agent.host.copies = {server_id, 999}
        assert self.reconciler(agent).run()
        assert agent.host.copies == {999}

    def test_a_guest_lost_with_its_host_starts_when_its_image_is_made(
        self, world: World, agent: Agent
    ) -> None:
        """The restart is over when every guest that ran runs again; others are started once."""
        busy, idle = active(world), active(world, "idle")
        do(world, snapshot(world, busy))
        reconciler = self.reconciler(agent)
        assert not reconciler.run(host_restarted=True)
        assert agent.host.power_states() == {idle: PowerState.RUNNING}
        with agent.host.halted(idle):
            assert not reconciler.run(host_restarted=True)
        assert state(world, idle) == ("STOPPED", None)
        agent.work()
        assert reconciler.run(host_restarted=True)
        assert agent.host.power_states()[busy] == PowerState.RUNNING


class TestOverdue:
    """Operations on hosts that fell silent are ended by the sweeper (architecture: silent host)."""

    def late(self, world: World, step: str | None = None) -> None:
        with world.engine.begin() as conn:
            conn.execute(
                text("UPDATE operations SET deadline = now() - interval '1 h',"
                     " step = coalesce(:step, step) WHERE finished_at IS NULL"), {"step": step},
            )  # fmt: skip
            assert sweep.fail_overdue(conn, grace=15) == 1
            assert sweep.fail_overdue(conn, grace=15) == 0

    def test_a_reboot(self, world: World) -> None:
        server_id = active(world)
        do(world, reboot(world, server_id))
        self.late(world)
        assert state(world, server_id) == ("ERROR", None)
        assert fault(world) == "The server could not be rebooted."

    @pytest.mark.parametrize(
        ("step", "keeps_old"), [("powering_off", True), ("block_device_mapping", False)]
    )
    def test_a_rebuild(self, world: World, step: str, keeps_old: bool) -> None:
        server_id = active(world)
        large = image(world, "large", virtual_size=40 * GIB)
        do(world, rebuild(world, server_id, large))
        self.late(world, step)
        assert state(world, server_id) == ("ERROR", None)
        kept = world.one("SELECT image_id FROM servers")
        assert kept == (world.image if keeps_old else large)
        assert balanced(world)

    @pytest.mark.parametrize("step", ["image_snapshot", "finishing", "undoing"])
    def test_a_snapshot(self, world: World, step: str) -> None:
        """The image is in ERROR, the server as it was: nothing stays stuck for ever."""
        server_id = active(world)
        do(world, snapshot(world, server_id))
        self.late(world, step)
        assert state(world, server_id) == ("ACTIVE", None)
        assert world.one("SELECT status FROM images ORDER BY id DESC LIMIT 1") == "ERROR"


REBUILT = (
    "New disks ready; put into the guest: /meta.js; not put into the guest: /etc (a directory)"
)


def test_the_timeline_tells_it(world: World, agent: Agent) -> None:
    server_id = active(world)
    for job in (
        reboot(world, server_id), rebuild(world, server_id, world.image),
        snapshot(world, server_id),
    ):  # fmt: skip
        do(world, job)
        agent.work()
    with world.engine.begin() as conn:
        events = operations.timeline(conn, "server", server_id)
    told = [(event.kind, event.step, event.message) for event in events if event.kind != "create"]
    made = world.one("SELECT max(id) FROM images")
    assert told == [
        ("reboot", "powering_off", "Reboot accepted"),
        ("reboot", "powering_off", "Guest is off"),
        ("reboot", "starting", "Running"),
        ("rebuild", "rebuilding", "Rebuild accepted"),
        ("rebuild", "rebuilding", "Image is here"),
        ("rebuild", "powering_off", "Guest is off"),
        (
            "rebuild",
            "block_device_mapping",
            REBUILT,
        ),
        ("rebuild", "spawning", "Running"),
        ("snapshot", "image_snapshot", f"Image {made} accepted"),
        ("snapshot", "image_snapshot", "Disk copied"),
        ("snapshot", "uploading", "7 bytes are in the image store"),
        ("snapshot", "finishing", f"Image {made} is active"),
    ]
