"""Security groups, their rules and members, and the workers that act on them, for tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from compute_agent.__main__ import plans as agent_plans
from compute_agent.driver import Driver
from compute_agent.fake import FakeDriver
from compute_agent.groups import Groups
from db.operations.queue import host_target
from db.operations.runner import Runner
from db.queries import progress, security_group_changes, server_changes
from db.queries.security_group_changes import NewRule
from db.wanted_firewall import WantedFirewall, WantedGroup
from scheduler.create import create_plan
from scheduler.delete import delete_plan
from tests.db.test_server_actions import active
from tests.db.world import World

Job = Callable[[Connection], Any]
SILENT = 15.0  # seconds


def make(world: World, *names: str) -> list[int]:
    """Groups without rules."""
    with world.engine.begin() as conn:
        return [security_group_changes.create(conn, world.scope, name, "").id for name in names]


def allow(world: World, group: int, source: int | None = None, port: int = 80) -> Job:
    """A rule of the group, for everybody or for members of ``source``."""
    new = NewRule(group, "tcp", port, port, None if source else "0.0.0.0/0", source)
    return lambda conn: security_group_changes.add_rule(conn, world.scope, new)


def join(world: World, server: int, name: str) -> Job:
    return lambda conn: security_group_changes.join(conn, world.scope, server, name)


def leave(world: World, server: int, name: str) -> Job:
    return lambda conn: security_group_changes.leave(conn, world.scope, server, name)


def delete_group(world: World, group: int) -> Job:
    return lambda conn: security_group_changes.delete(conn, world.scope, group)


def delete_server(world: World, server: int) -> Job:
    return lambda conn: server_changes.request_delete(
        conn, world.scope, server, silent_seconds=SILENT
    )


def released(server: int) -> Job:
    """The end of a deletion."""
    return lambda conn: progress.release_all(conn, server)


def do(world: World, job: Job) -> Any:
    with world.engine.begin() as conn:
        return job(conn)


def raised(world: World, job: Job) -> dict[str, int]:
    """By how much the job raises the generations of the tenant's groups that are left."""
    sql = """SELECT name, generation FROM security_groups WHERE tenant_id = :tenant_id
             AND zone_id = :zone_id"""
    scope = {"tenant_id": world.scope.tenant_id, "zone_id": world.scope.zone_id}
    before = {row.name: row.generation for row in world.rows(sql, **scope)}
    others = "SELECT sum(generation) FROM security_groups WHERE tenant_id <> :tenant_id"
    strangers = world.one(others, **scope)
    do(world, job)
    assert world.one(others, **scope) == strangers
    after = {row.name: row.generation for row in world.rows(sql, **scope)}
    return {
        name: now - before[name]
        for name, now in after.items()
        if name in before and now != before[name]
    }


def silence(world: World, host: str) -> None:
    world.rows(
        "UPDATE host_heartbeats b SET at = at - interval '1 h' FROM hosts h"
        " WHERE h.id = b.host_id AND h.name = :host RETURNING at", host=host,
    )  # fmt: skip


class Firewall(FakeDriver):
    """Records what it is told, refuses what it is told to refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[WantedFirewall] = []
        self.afresh: list[bool] = []
        self.errors: dict[int, str] = {}
        self.before: Callable[[], None] = lambda: None

    def protect(self, wanted: WantedFirewall, *, afresh: bool) -> dict[int, str]:
        self.before()
        self.told.append(wanted)
        self.afresh.append(afresh)
        return self.errors

    def group(self, group_id: int) -> WantedGroup | None:
        """As told last."""
        return next((group for group in self.told[-1].groups if group.id == group_id), None)


class Workers:
    """The scheduler's and the agents' runners; ``hints`` are those that leave the process."""

    def __init__(self, world: World, *hosts: str) -> None:
        self.world = world
        self.hints: list[tuple[str, int | None]] = []
        self.drivers = {host_target(host): Firewall() for host in hosts}
        self.groups = {
            host_target(host): Groups(world.engine, host, self.drivers[host_target(host)])
            for host in hosts
        }
        self.scheduler = self._runner(["scheduler"], [create_plan(), delete_plan()])
        drivers: dict[str, Driver] = dict(self.drivers)
        self.agents = self._runner(
            list(drivers),
            agent_plans(
                world.engine, drivers.__getitem__, lambda target: self.groups[target].apply()
            ),
        )

    def _runner(self, targets: list[str], plans: Any) -> Runner:
        return Runner(
            self.world.engine, owner=f"{targets[0]}@test", targets=targets, plans=plans,
            nudge=lambda target, operation: self.hints.append((target, operation)),
            lease_seconds=10, threads=4,
        )  # fmt: skip

    def schedule(self) -> set[str]:
        """Run the scheduler's work; the hosts that are told to look."""
        return self._work(self.scheduler, ["scheduler"])

    def work(self) -> set[str]:
        """Run the hosts' work; the hosts that are told to look."""
        return self._work(self.agents, list(self.drivers))

    def _work(self, runner: Runner, targets: list[str]) -> set[str]:
        self.hints.clear()
        live = "SELECT count(*) FROM operations WHERE target = ANY(:t) AND finished_at IS NULL"
        deadline = time.monotonic() + 30
        while self.world.one(live, t=targets):
            runner.poll()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        while runner._known:  # hints leave after the commit
            assert time.monotonic() < deadline
            time.sleep(0.01)
        looks = [target for target, operation in self.hints if operation is None]
        assert len(looks) == len(set(looks))  # each is told once
        return {target.removeprefix("host.") for target in looks}

    def stop(self) -> None:
        self.scheduler.stop()
        self.agents.stop()


def four_groups(world: World) -> dict[str, int]:
    """``db`` has ``web`` as a source; ``alone`` is one of nobody's, ``own`` is its own."""
    names = ("web", "db", "alone", "own")
    made = dict(zip(names, make(world, *names), strict=True))
    do(world, allow(world, made["db"], made["web"]))
    do(world, allow(world, made["own"], made["own"]))
    return made


def spread_out(world: World) -> dict[str, int]:
    """``web`` on cmp1 and cmp4, ``db``, whose source it is, on cmp2, ``alone`` on cmp3."""
    where = {
        "w": ("cmp1", "web"), "d": ("cmp2", "db"), "x": ("cmp3", "alone"), "v": ("cmp4", "web"),
    }  # fmt: skip
    return {
        name: active(world, name, host, security_groups=(group,))
        for name, (host, group) in where.items()
    }
