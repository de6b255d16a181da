"""Changes of groups, many at once: none is missed, none waits in a circle (R244, R252-R254)."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event, text

from compute_agent.groups import Groups
from db import quota
from db.engine import OPTIONS, database_url
from db.operations.errors import InProgress
from db.queries import (
    addresses,
    group_state,
    placement,
    progress,
    security_group_changes,
    server_changes,
)
from db.queries.security_group_changes import NewRule, NotPossible
from db.queries.server_actions import NotNow
from db.queries.server_changes import NewServers, NotAdmitted
from db.queries.server_locks import UnknownServer
from db.scope import Scope
from tests.db.groups import Firewall, Job, Workers, allow, delete_group, do, make
from tests.db.test_server_actions import active
from tests.db.world import World, add_addresses, add_host, at_once
from tests.lab import eventually

HOSTS = ("cmp1", "cmp2", "cmp3")
NAMES = [f"group {number}" for number in range(6)]
TURNS = 25
REFUSALS = (NotPossible, NotAdmitted, UnknownServer, NotNow, InProgress)


@pytest.fixture
def city(world: World) -> Iterator[World]:
    """The world with room for much, and a pool of connections for many threads."""
    engine = create_engine(database_url(), pool_size=40, **OPTIONS)
    with engine.begin() as conn:
        add_addresses(conn, world.scope.zone_id, 2000)
        for host in HOSTS:
            add_host(conn, host, vcpus=10_000, ram_mb=10**6, disk_gb=10**5)
        for scope in (world.scope, world.stranger):
            for resource in ("instances", "cores", "ram", "security_groups",
                             "security_group_rules"):  # fmt: skip
                quota.set_limit(conn, scope.tenant_id, scope.zone_id, resource, -1)
    yield replace(world, engine=engine)
    engine.dispose()


def placed(conn: Connection, world: World, server: int, host: str) -> list[str]:
    """What the scheduler commits; the hosts that it tells."""
    host_id = conn.execute(text("SELECT id FROM hosts WHERE name = :n"), {"n": host}).scalar_one()
    assert placement.claim(conn, placement.needs(conn, server), host_id)
    addresses.claim(conn, zone_id=world.scope.zone_id, server_id=server, quarantine=0)
    progress.place(conn, server, host_id, "networking")
    return group_state.members_changed(conn, server)


def members(world: World, group: int) -> tuple[str, ...]:
    """As a host reads them that has the group as a source."""
    with world.engine.begin() as conn:
        wanted = group_state.Concerning(group, 0, is_own=False, is_source=True)
        (found,) = group_state.contents(conn, [wanted])
    assert found.members is not None
    return found.members


def generation(world: World, group: int) -> int:
    found: int = world.one("SELECT generation FROM security_groups WHERE id = :id", id=group)
    return found


@contextmanager
def waiting(world: World, job: Job) -> Iterator[Future[Any]]:
    """The job waits for a lock at the beginning of the block, and has ended after it."""
    waits = """SELECT count(*) FROM pg_stat_activity
               WHERE wait_event_type = 'Lock' AND datname = current_database()"""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(do, world, job)
        eventually(lambda: bool(world.one(waits)), "it waits")
        yield future


class TestTwoChanges:
    def test_each_of_ten_members_raises_the_generation(self, city: World) -> None:
        web, db = make(city, "web", "db")
        do(city, allow(city, db, web))
        servers = city.create(min_count=10, max_count=10, security_groups=("web",))
        before = generation(city, web)
        jobs = [partial(placed, world=city, server=one, host="cmp1") for one in servers]
        assert at_once(jobs) == [[]] * 10
        assert generation(city, web) == before + 10
        assert len(members(city, web)) == 10

    def test_a_rule_and_a_member(self, city: World) -> None:
        """One waits for the other; a reader between them sees one change, and its generation."""
        web, db = make(city, "web", "db")
        do(city, allow(city, db, web))
        (server,) = city.create(security_groups=("web",))
        before = generation(city, web)
        with city.engine.begin() as conn:
            allow(city, web)(conn)
            with waiting(city, self.place(city, server)) as end:
                assert not end.done()
                assert generation(city, web) == before
                conn.commit()
        assert end.result() == []
        assert generation(city, web) == before + 2

    def place(self, world: World, server: int) -> Job:
        return partial(placed, world=world, server=server, host="cmp1")

    def test_r254_a_member_that_comes_while_its_group_becomes_a_source(self, city: World) -> None:
        """The rule waits for the member, so that its hosts read it."""
        web, db = make(city, "web", "db")
        active(city, "d", "cmp2", security_groups=("db",))
        (server,) = city.create("w", security_groups=("web",))
        with city.engine.connect() as conn:
            assert self.place(city, server)(conn) == []  # nobody has the group as a source
            with waiting(city, allow(city, db, web)) as end:
                assert not end.done()
                conn.commit()
        assert end.result()[1] == ["cmp2"]
        assert len(members(city, web)) == 1

    def test_r254_a_group_that_becomes_a_source_while_a_member_comes(self, city: World) -> None:
        """The member waits for the rule, so that it counts, and the rule's hosts are told."""
        web, db = make(city, "web", "db")
        active(city, "d", "cmp2", security_groups=("db",))
        (server,) = city.create("w", security_groups=("web",))
        before = generation(city, web)
        with city.engine.connect() as conn:
            assert allow(city, db, web)(conn)[1] == ["cmp2"]
            with waiting(city, self.place(city, server)) as end:
                assert not end.done()
                conn.commit()
        assert end.result() == ["cmp2"]
        assert generation(city, web) == before + 1

    def test_members_of_a_group_that_is_no_source_wait_for_nobody(self, city: World) -> None:
        make(city, "web")
        one, two = city.create(min_count=2, max_count=2, security_groups=("web",))
        with city.engine.connect() as conn:
            placed(conn, city, one, "cmp1")
            assert do(city, partial(placed, world=city, server=two, host="cmp2")) == []

    def test_a_deleted_group_and_the_end_of_a_server_that_was_in_it(self, city: World) -> None:
        """In both orders of their ids, also of one that was deleted on a silent host."""
        for first, second in (("a", "b"), ("b", "a")):
            ids = dict(zip("ab", make(city, "a", "b"), strict=True))
            do(city, allow(city, ids[second], ids[first]))
            do(city, allow(city, ids[first], ids[first]))
            do(city, allow(city, ids[second], ids[second]))
            servers = [
                active(city, f"{name} {first}", "cmp1", security_groups=("a", "b"))
                for name in "xyz"
            ]
            jobs: list[Job] = [partial(progress.release_all, server_id=one) for one in servers]
            ends = at_once([*jobs, delete_group(city, ids[first])])
            assert {type(end) for end in ends} == {list}, ends
            do(city, delete_group(city, ids[second]))


class Storm:
    """Clients of some tenants who do everything at once, and the workers that make it true."""

    def __init__(self, world: World, scopes: list[Scope]) -> None:
        self.world = world
        self.scopes = scopes
        self.workers = Workers(world, *HOSTS)
        self.errors: list[Exception] = []
        self.refusals = 0
        self.done = 0
        self._ended = threading.Event()

    def run(self) -> None:
        """Until each client had its turns and no operation is left."""
        clients = [
            threading.Thread(target=self._client, args=(scope, kind, number))
            for scope in self.scopes
            for number, kind in enumerate(2 * [
                self.create, self.delete, self.rule, self.member, self.group
            ])
        ]  # fmt: skip
        workers = [threading.Thread(target=self._poll)]
        workers += [
            threading.Thread(target=self._look, args=(groups,))
            for groups in self.workers.groups.values()
        ]
        for thread in clients + workers:
            thread.start()
        for thread in clients:
            thread.join()
        deadline = time.monotonic() + 60
        while self.world.one("SELECT count(*) FROM operations WHERE finished_at IS NULL"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        self._ended.set()
        for thread in workers:
            thread.join()
        self.workers.stop()

    def _client(self, scope: Scope, kind: Callable[..., Any], number: int) -> None:
        dice = random.Random(f"{scope.tenant_id} {kind.__name__} {number}")
        for _ in range(TURNS):
            try:
                with self.world.engine.begin() as conn:
                    kind(conn, scope, dice)
                self.done += 1
            except REFUSALS:
                self.refusals += 1
            except Exception as error:
                self.errors.append(error)

    def _poll(self) -> None:
        while not self._ended.wait(0.02):
            for runner in (self.workers.scheduler, self.workers.agents):
                runner.poll()

    def _look(self, groups: Groups) -> None:
        while not self._ended.wait(0.01):
            try:
                groups.apply()
            except Exception as error:
                self.errors.append(error)

    def create(self, conn: Connection, scope: Scope, dice: random.Random) -> None:
        names = tuple(dice.sample([*NAMES, "default"], dice.randint(1, 3)))
        name = f"server {dice.random()}"
        new = NewServers(name, "", 1, self.world.image, max_count=2, security_groups=names)
        server_changes.create(conn, scope, new)

    def delete(self, conn: Connection, scope: Scope, dice: random.Random) -> None:
        if server := self._any(conn, "servers", scope, dice, "deleted_at IS NULL"):
            server_changes.request_delete(conn, scope, server, silent_seconds=3600)

    def rule(self, conn: Connection, scope: Scope, dice: random.Random) -> None:
        group = self._any(conn, "security_groups", scope, dice) or 0
        source = dice.choice([self._any(conn, "security_groups", scope, dice), None])
        port = dice.randint(1, 3)
        if dice.random() < 0.7:
            cidr = None if source else "0.0.0.0/0"
            new = NewRule(group, "tcp", port, port, cidr, source)
            security_group_changes.add_rule(conn, scope, new)
        elif rules := conn.execute(
            text("SELECT id FROM security_group_rules WHERE group_id = :id"), {"id": group}
        ).scalars().all():  # fmt: skip
            security_group_changes.remove_rule(conn, scope, dice.choice(rules))

    def member(self, conn: Connection, scope: Scope, dice: random.Random) -> None:
        server = self._any(conn, "servers", scope, dice, "deleted_at IS NULL") or 0
        change = dice.choice([security_group_changes.join, security_group_changes.leave])
        change(conn, scope, server, dice.choice(NAMES))

    def group(self, conn: Connection, scope: Scope, dice: random.Random) -> None:
        if dice.random() < 0.6:
            security_group_changes.create(conn, scope, dice.choice(NAMES), "")
        elif group := self._any(conn, "security_groups", scope, dice):
            security_group_changes.delete(conn, scope, group)

    def _any(
        self, conn: Connection, table: str, scope: Scope, dice: random.Random, which: str = "true"
    ) -> int | None:
        ids = conn.execute(
            text(f"SELECT id FROM {table} WHERE tenant_id = :t AND zone_id = :z AND {which}"),
            {"t": scope.tenant_id, "z": scope.zone_id},
        ).scalars().all()  # fmt: skip
        return dice.choice(ids) if ids else None


@pytest.mark.parametrize("tenants", [1, 2])
def test_everything_at_once(city: World, tenants: int) -> None:
    """No deadlock, no lock waited for too long, and hosts end with what is wanted."""
    failures: list[str] = []

    @event.listens_for(city.engine, "handle_error")
    def failed(context: Any) -> None:
        failures.append(str(context.original_exception))

    storm = Storm(city, [city.scope, city.stranger][:tenants])
    storm.run()
    assert failures == []
    assert storm.errors == []
    assert storm.done > storm.refusals
    for target, groups in storm.workers.groups.items():
        groups.apply()
        firewall = Firewall()
        Groups(city.engine, target.removeprefix("host."), firewall).apply()
        assert storm.workers.drivers[target].told[-1] == firewall.told[-1]
    for row in city.rows("SELECT id FROM security_groups"):
        with city.engine.begin() as conn:
            assert all(host.in_force for host in group_state.status(conn, row.id))
    told = city.rows("""
        SELECT a.group_id FROM host_security_groups a JOIN hosts h ON h.id = a.host_id
    """)
    wanted = [
        group.id
        for firewall in storm.workers.drivers.values()
        for group in firewall.told[-1].groups
    ]
    assert sorted(row.group_id for row in told) == sorted(wanted)
    assert city.one("""
        SELECT count(*) FROM fixed_addresses f JOIN servers s ON s.id = f.server_id
        WHERE s.deleted_at IS NOT NULL
    """) == 0  # fmt: skip
