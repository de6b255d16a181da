"""Groups, rules, members and floating addresses, many at once (R62, R65, R223, R236, R244, D47)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, text

from db import quota
from db.queries import floating_ips, security_group_changes, server_changes, tenants
from db.queries.floating_ips import FloatingRow, NoneLeft
from db.queries.security_group_changes import (
    GroupExists,
    Membership,
    NewRule,
    RuleExists,
    UnknownGroup,
)
from db.queries.security_groups import GroupRow
from db.quota import QuotaExceeded
from db.scope import Scope
from tests.db.world import World, add_addresses, add_host, at_once

Job = Callable[[Connection], Any]
NO_GROUP_LEFT = 9  # groups beside default that the quota allows


def kinds(ends: list[Any]) -> Counter[str]:
    return Counter(type(end).__name__ for end in ends)


def make(world: World, name: str) -> GroupRow:
    with world.engine.begin() as conn:
        return security_group_changes.create(conn, world.scope, name, name)


def new_rule(group_id: int, port: int = 22) -> NewRule:
    return NewRule(group_id, "tcp", port, port, "0.0.0.0/0", None)


class TestGroups:
    def create(self, world: World, name: str) -> Job:
        return lambda conn: security_group_changes.create(conn, world.scope, name, "x")

    def test_one_of_the_same_name_wins(self, world: World) -> None:
        ends = at_once([self.create(world, "web") for _ in range(8)])
        assert kinds(ends) == {"GroupRow": 1, "GroupExists": 7}
        assert world.one("SELECT count(*) FROM security_groups WHERE name = 'web'") == 1

    def test_r65_no_more_than_the_quota_allows(self, world: World) -> None:
        for number in range(NO_GROUP_LEFT - 3):
            make(world, f"early {number}")
        ends = at_once([self.create(world, f"late {number}") for number in range(10)])
        assert kinds(ends) == {"GroupRow": 3, "QuotaExceeded": 7}
        with world.engine.begin() as conn:
            quota.set_limit(conn, world.scope.tenant_id, world.scope.zone_id, "security_groups", -1)
        assert make(world, "eleventh").name == "eleventh"

    def test_quotas_are_a_zone_s_and_a_tenant_s(self, world: World) -> None:
        for number in range(NO_GROUP_LEFT):
            make(world, f"group {number}")
        with world.engine.begin() as conn:
            for scope in (world.elsewhere, world.stranger):
                security_group_changes.create(conn, scope, "web", "x")

    def test_r65_rules_no_more_than_the_quota_allows(self, world: World) -> None:
        group = make(world, "web").id
        jobs: list[Job] = [
            partial(self.add, world=world, new=new_rule(group, port)) for port in range(1, 26)
        ]
        ends = at_once(jobs)
        assert sum(isinstance(end, QuotaExceeded) for end in ends) == 5
        held = "SELECT count(*) FROM security_group_rules WHERE group_id = :id"
        assert world.one(held, id=group) == 20

    def add(self, conn: Connection, *, world: World, new: NewRule) -> Any:
        return security_group_changes.add_rule(conn, world.scope, new)

    def test_d47f_one_of_the_same_rules_wins(self, world: World) -> None:
        group = make(world, "web").id
        ends = at_once([partial(self.add, world=world, new=new_rule(group)) for _ in range(8)])
        assert sum(isinstance(end, RuleExists) for end in ends) == 7
        held = "SELECT count(*) FROM security_group_rules WHERE group_id = :id"
        assert world.one(held, id=group) == 1

    def test_a_deleted_group_and_what_would_use_it(self, world: World) -> None:
        """Rules, members and servers come before the deletion or are refused; nothing is left."""
        (member,) = world.create()
        world.rows("UPDATE servers SET task_state = NULL RETURNING id")
        for turn in range(5):
            web, db = make(world, "web").id, make(world, "db").id
            sourced = NewRule(db, None, None, None, None, web)

            def server(conn: Connection, name: str = f"new {turn}") -> Any:
                new = server_changes.NewServers(
                    name, "", flavor_id=1, image_id=world.image, security_groups=("web",)
                )
                return server_changes.create(conn, world.scope, new)

            ends = at_once([
                partial(security_group_changes.delete, scope=world.scope, group_id=web),
                partial(self.add, world=world, new=new_rule(web)),
                partial(self.add, world=world, new=sourced),
                lambda conn: security_group_changes.join(conn, world.scope, member, "web"),
                server,
            ])  # fmt: skip
            assert isinstance(ends[0], list), ends[0]
            refusals = {type(end).__name__ for end in ends[1:] if isinstance(end, Exception)}
            assert refusals <= {"UnknownGroup", "UnknownSource"}
            assert world.one("SELECT count(*) FROM security_groups WHERE id = :id", id=web) == 0
            left = "SELECT count(*) FROM security_group_rules WHERE :id IN (group_id, {})"
            assert world.one(left.format("source_group_id"), id=web) == 0
            with world.engine.begin() as conn:
                security_group_changes.delete(conn, world.scope, db)

    def test_r253_joining_twice_at_once(self, world: World) -> None:
        make(world, "web")
        (member,) = world.create()
        world.rows("UPDATE servers SET task_state = NULL RETURNING id")
        ends = at_once([
            lambda conn: security_group_changes.join(conn, world.scope, member, "web")
            for _ in range(6)
        ])  # fmt: skip
        assert sum(isinstance(end, Membership) for end in ends) == 5

    def test_a_refused_change_leaves_all_as_it_was(self, world: World) -> None:
        (member,) = world.create()
        world.rows("UPDATE servers SET task_state = NULL RETURNING id")
        before = world.rows("SELECT * FROM servers"), world.rows("SELECT * FROM security_groups")
        refused: tuple[tuple[type[Exception], Job], ...] = (
            (GroupExists, self.create(world, "default")),
            (UnknownGroup, partial(self.add, world=world, new=new_rule(999))),
            (
                Membership,
                lambda conn: security_group_changes.join(conn, world.scope, member, "default"),
            ),
        )
        for kind, job in refused:
            with pytest.raises(kind), world.engine.begin() as conn:
                job(conn)
        after = world.rows("SELECT * FROM servers"), world.rows("SELECT * FROM security_groups")
        assert after == before

    def test_r244_updated_moves_for_live_members_only(self, world: World) -> None:
        make(world, "web")
        live, gone = world.create(
            "pair", min_count=2, max_count=2, security_groups=("web", "default")
        )
        with world.engine.begin() as conn:
            server_changes.forget(conn, gone)
            conn.execute(text("UPDATE servers SET updated_at = '2012-01-01Z'"))
        with world.engine.begin() as conn:
            group = world.one("SELECT id FROM security_groups WHERE name = 'web'")
            assert security_group_changes.delete(conn, world.scope, group) == []
        moved = world.rows("SELECT id FROM servers WHERE updated_at > '2012-01-01Z'")
        assert [row.id for row in moved] == [live]
        assert world.one("SELECT generation FROM servers WHERE id = :id", id=live) == 2


class TestFloating:
    QUARANTINE = 600.0

    def allocate(self, scope: Scope, pool: str | None = None) -> Job:
        return lambda conn: floating_ips.allocate(
            conn, scope, pool=pool, quarantine=self.QUARANTINE
        )

    def scopes(self, world: World, count: int) -> list[Scope]:
        """As many tenants, so that no lock of theirs lines them up."""
        with world.engine.begin() as conn:
            for number in range(count):
                tenants.create(conn, f"tenant {number}", id=f"{number:014}")
        zone, user = world.scope.zone_id, world.scope.user_id
        return [Scope(f"{number:014}", zone, user) for number in range(count)]

    def test_fifty_of_fifty_get_one_each(self, world: World) -> None:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 1, public=50)
        ends = at_once([self.allocate(scope) for scope in self.scopes(world, 50)])
        assert kinds(ends) == {"FloatingRow": 50}
        assert len({end.address for end in ends}) == 50

    def test_d40_what_is_too_many_is_refused(self, world: World) -> None:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 1, public=10)
        ends = at_once([self.allocate(scope) for scope in self.scopes(world, 20)])
        assert kinds(ends) == {"FloatingRow": 10, "NoneLeft": 10}
        assert world.one("SELECT count(tenant_id) FROM public_addresses") == 10

    def test_r62_no_more_than_the_quota_allows(self, world: World) -> None:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 1, public=50)
            quota.set_limit(conn, world.scope.tenant_id, world.scope.zone_id, "floating_ips", 3)
        ends = at_once([self.allocate(world.scope) for _ in range(10)])
        assert kinds(ends) == {"FloatingRow": 3, "QuotaExceeded": 7}

    def test_servers_and_tenants_never_share_an_address(self, world: World) -> None:
        from db.queries import addresses

        ids = world.create(min_count=10, max_count=10)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 20, public=20)
        jobs: list[Job] = [
            partial(
                addresses.claim,
                zone_id=world.scope.zone_id, server_id=i, quarantine=self.QUARANTINE,
            )
            for i in ids
        ]  # fmt: skip
        ends = at_once(jobs + [self.allocate(scope) for scope in self.scopes(world, 10)])
        assert kinds(ends) == {"NoneType": 10, "FloatingRow": 10}
        assert world.one("SELECT count(*) FROM public_addresses WHERE automatic") == 10
        both = "SELECT count(*) FROM public_addresses WHERE automatic AND tenant_id IS NOT NULL"
        assert world.one(both) == 0

    def test_released_ones_rest_and_never_used_ones_come_first(self, world: World) -> None:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 1, public=2)
            first: FloatingRow = self.allocate(world.scope)(conn)
            assert floating_ips.release(conn, world.scope, first.id) == []
            second: FloatingRow = self.allocate(world.scope)(conn)
        assert second.address != first.address
        with pytest.raises(NoneLeft), world.engine.begin() as conn:
            self.allocate(world.scope)(conn)

    def test_moves_of_one_address_end_on_one_server(self, world: World) -> None:
        """Crosswise moves of two addresses between two servers meet no deadlock."""
        ids = world.create(min_count=2, max_count=2)
        world.rows("UPDATE servers SET task_state = NULL RETURNING id")
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 2, public=2)
            host = add_host(conn, "cmp1")
            conn.execute(text("UPDATE servers SET host_id = :host"), {"host": host})
            made = [self.allocate(world.scope)(conn).address for _ in range(2)]
        for fixed, server_id in enumerate(ids, start=1):
            world.rows(
                "UPDATE fixed_addresses SET server_id = :id WHERE id = :fixed RETURNING id",
                id=server_id, fixed=fixed,
            )  # fmt: skip
        jobs: list[Job] = [
            partial(floating_ips.associate, scope=world.scope, server_id=server, address=address)
            for server in ids
            for address in made
        ] * 2
        ends = at_once(jobs)
        assert {type(end) for end in ends} == {list}
        for end in ends:
            assert end in ([], ["cmp1"])
        on = world.rows("SELECT server_id FROM public_addresses")
        assert {row.server_id for row in on} <= set(ids)

    def test_a_move_and_the_end_of_the_server_that_had_it(self, world: World) -> None:
        from db.queries import progress

        for turn in range(5):
            old, new = world.create(f"pair {turn}", min_count=2, max_count=2)
            world.rows("UPDATE servers SET task_state = NULL RETURNING id")
            with world.engine.begin() as conn:
                if turn == 0:
                    add_addresses(conn, world.scope.zone_id, 10, public=1)
                    made = self.allocate(world.scope)(conn).address
                for server_id in (old, new):
                    conn.execute(
                        text(
                            "UPDATE fixed_addresses SET server_id = :id WHERE id ="
                            " (SELECT min(id) FROM fixed_addresses WHERE server_id IS NULL)"
                        ),
                        {"id": server_id},
                    )
                floating_ips.associate(conn, world.scope, old, made)
            ends = at_once([
                partial(progress.release_all, server_id=old),
                partial(
                    floating_ips.associate, scope=world.scope, server_id=new, address=made
                ),
            ])  # fmt: skip
            assert ends == [[], []], ends
            where = "SELECT server_id FROM public_addresses WHERE tenant_id IS NOT NULL"
            assert world.one(where) == new
