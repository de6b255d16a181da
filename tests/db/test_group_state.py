"""Generations of security groups, whom a change concerns, and what hosts make of it (R252-R254)."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from db.queries import (
    floating_ips,
    group_state,
    progress,
    security_group_changes,
    server_changes,
)
from db.queries.security_group_changes import (
    GroupExists,
    Membership,
    NotPossible,
    RuleExists,
    SystemGroup,
    UnknownGroup,
    UnknownSource,
)
from tests.db.groups import (
    Job,
    Workers,
    allow,
    delete_group,
    delete_server,
    do,
    four_groups,
    join,
    leave,
    raised,
    released,
    silence,
    spread_out,
)
from tests.db.test_server_actions import active, reboot
from tests.db.world import World, add_addresses, add_host


@pytest.fixture
def groups(world: World) -> dict[str, int]:
    """Ids by name."""
    return four_groups(world)


@pytest.fixture
def spread(world: World, groups: dict[str, int]) -> dict[str, int]:
    """Servers by name, and four hosts."""
    return spread_out(world)


class TestGenerations:
    """They rise by one with each change of a group's rules or members, and with nothing else."""

    def test_r252_rules(self, world: World, groups: dict[str, int]) -> None:
        """Those of the group itself, whatever their source."""
        assert raised(world, allow(world, groups["web"])) == {"web": 1}
        assert raised(world, allow(world, groups["alone"], groups["web"])) == {"alone": 1}
        rule = world.one("SELECT max(id) FROM security_group_rules")
        remove = lambda conn: security_group_changes.remove_rule(conn, world.scope, rule)  # noqa: E731
        assert raised(world, remove) == {"alone": 1}
        assert raised(world, remove) == {}

    def test_r253_members(self, world: World, groups: dict[str, int]) -> None:
        server = active(world)
        for name in ("web", "alone"):
            assert raised(world, join(world, server, name)) == {name: 1}
            assert raised(world, leave(world, server, name)) == {name: 1}

    def test_refusals_change_nothing(self, world: World, groups: dict[str, int]) -> None:
        server = active(world)
        default = world.one(
            "SELECT id FROM security_groups WHERE name = 'default' AND tenant_id = :t"
            " AND zone_id = :z", t=world.scope.tenant_id, z=world.scope.zone_id,
        )  # fmt: skip
        refused: list[tuple[type[NotPossible], Job]] = [
            (RuleExists, allow(world, groups["db"], groups["web"])),
            (UnknownGroup, allow(world, 999)),
            (UnknownSource, allow(world, groups["db"], 999)),
            (Membership, join(world, server, "default")),
            (Membership, leave(world, server, "web")),
            (SystemGroup, delete_group(world, default)),
        ]
        for kind, job in refused:

            def attempt(_: Connection, kind: type[NotPossible] = kind, job: Job = job) -> None:
                with pytest.raises(kind):
                    do(world, job)

            assert raised(world, attempt) == {}

    def test_r244_groups_that_had_a_deleted_one_as_a_source(
        self, world: World, groups: dict[str, int]
    ) -> None:
        do(world, allow(world, groups["alone"], groups["web"]))
        do(world, allow(world, groups["web"], groups["web"], port=81))
        assert raised(world, delete_group(world, groups["web"])) == {"db": 1, "alone": 1}
        assert raised(world, delete_group(world, groups["db"])) == {}
        assert raised(world, delete_group(world, groups["own"])) == {}

    def test_a_group_is_made_in_the_first_one(self, world: World, groups: dict[str, int]) -> None:
        def create(conn: Connection) -> None:
            security_group_changes.create(conn, world.scope, "new", "")

        assert raised(world, create) == {}
        assert world.one("SELECT generation FROM security_groups WHERE name = 'new'") == 1

        def again(conn: Connection) -> None:
            with pytest.raises(GroupExists):
                security_group_changes.create(conn, world.scope, "new", "")

        assert raised(world, again) == {}

    def test_r254_sources_when_a_server_gets_its_address_and_loses_it(
        self, world: World, groups: dict[str, int]
    ) -> None:
        """Not when it is accepted, or torn down; and not groups that are nobody's source."""
        workers = self.workers(world)
        member_of = ("web", "alone", "own")
        made: list[int] = []
        accept = lambda _: made.extend(world.create(security_groups=member_of))  # noqa: E731
        assert raised(world, accept) == {}
        assert raised(world, lambda _: workers.schedule()) == {"web": 1, "own": 1}
        assert raised(world, lambda _: workers.work()) == {}
        assert raised(world, delete_server(world, made[0])) == {}
        assert raised(world, lambda _: workers.schedule()) == {}
        assert raised(world, lambda _: workers.work()) == {"web": 1, "own": 1}
        assert raised(world, released(made[0])) == {}  # runs twice without harm
        workers.stop()

    def workers(self, world: World) -> Workers:
        with world.engine.begin() as conn:
            add_host(conn, "cmp1")
            add_addresses(conn, world.scope.zone_id, 20, public=20)
        return Workers(world, "cmp1")

    def test_r112_one_that_ends_in_error_loses_it(
        self, world: World, groups: dict[str, int]
    ) -> None:
        """Once: its deletion finds it without an address."""
        server = active(world, security_groups=("web",))
        assert raised(world, lambda c: progress.release_claims(c, server)) == {"web": 1}
        assert raised(world, lambda c: progress.release_claims(c, server)) == {}
        assert raised(world, delete_server(world, server)) == {}
        assert raised(world, released(server)) == {}

    def test_one_that_fits_nowhere_never_had_one(
        self, world: World, groups: dict[str, int]
    ) -> None:
        workers = self.workers(world)
        world.rows("UPDATE hosts SET enabled = false RETURNING id")
        (server,) = world.create(security_groups=("web",))
        assert raised(world, lambda _: workers.schedule()) == {}
        assert raised(world, released(server)) == {}
        workers.stop()

    def test_one_on_a_silent_host_is_no_member_at_once(
        self, world: World, groups: dict[str, int]
    ) -> None:
        """Its address stays claimed, and nothing changes when the host comes back."""
        server = active(world, security_groups=("web",))
        silence(world, "cmp1")
        assert raised(world, delete_server(world, server)) == {"web": 1}
        assert world.one("SELECT count(server_id) FROM fixed_addresses") == 1
        assert raised(world, released(server)) == {}

    def test_what_else_clients_change(self, world: World, groups: dict[str, int]) -> None:
        server = active(world, security_groups=("web", "own"))

        def float_to(conn: Connection) -> None:
            made = floating_ips.allocate(conn, world.scope, pool=None, quarantine=0)
            floating_ips.associate(conn, world.scope, server, made.address)

        jobs: list[Job] = [
            lambda conn: server_changes.rename(conn, world.scope, server, "other"),
            float_to,
            reboot(world, server),
            lambda conn: progress.see_power(conn, server, "shutdown"),
            lambda conn: progress.become_faulty(conn, server, "x"),  # it keeps its address
            lambda conn: server_changes.replace_metadata(conn, server, {"a": "b"}),
        ]
        for job in jobs:
            assert raised(world, job) == {}


class TestConcerned:
    """The hosts that must look are those concerned, and no others (R252-R254)."""

    def test_rules_concern_members(
        self, world: World, groups: dict[str, int], spread: dict[str, int]
    ) -> None:
        rule, hosts = do(world, allow(world, groups["web"]))
        assert hosts == ["cmp1", "cmp4"]
        removed = lambda conn: security_group_changes.remove_rule(conn, world.scope, rule.id)  # noqa: E731
        assert do(world, removed) == hosts
        assert do(world, allow(world, groups["db"]))[1] == ["cmp2"]
        assert do(world, allow(world, groups["own"]))[1] == []
        assert do(world, allow(world, groups["alone"], groups["web"]))[1] == ["cmp3"]

    def test_members_concern_their_host_and_those_of_sources(
        self, world: World, groups: dict[str, int], spread: dict[str, int]
    ) -> None:
        assert do(world, join(world, spread["x"], "web")) == ["cmp2", "cmp3"]
        assert do(world, leave(world, spread["x"], "web")) == ["cmp2", "cmp3"]
        assert do(world, join(world, spread["w"], "db")) == ["cmp1"]
        assert do(world, leave(world, spread["v"], "web")) == ["cmp1", "cmp2", "cmp4"]

    def test_a_deleted_group_concerns_both(
        self, world: World, groups: dict[str, int], spread: dict[str, int]
    ) -> None:
        assert do(world, delete_group(world, groups["web"])) == ["cmp1", "cmp2", "cmp4"]
        assert do(world, delete_group(world, groups["own"])) == []

    def test_deleted_servers_concern_nobody(
        self, world: World, groups: dict[str, int], spread: dict[str, int]
    ) -> None:
        for name in ("d", "v"):
            do(world, released(spread[name]))
        assert do(world, allow(world, groups["web"]))[1] == ["cmp1"]
        assert do(world, join(world, spread["x"], "web")) == ["cmp3"]
        assert do(world, delete_group(world, groups["web"])) == ["cmp1", "cmp3"]

    def test_status_names_the_same_hosts(
        self, world: World, groups: dict[str, int], spread: dict[str, int]
    ) -> None:
        def hosts(name: str) -> dict[str, int]:
            rows = do(world, lambda conn: group_state.status(conn, groups[name]))
            return {row.host: row.servers for row in rows}

        assert hosts("web") == {"cmp1": 1, "cmp2": 0, "cmp4": 1}
        assert hosts("db") == {"cmp2": 1}
        assert hosts("own") == {}
        do(world, join(world, spread["d"], "web"))
        do(world, released(spread["v"]))
        assert hosts("web") == {"cmp1": 1, "cmp2": 1}

    def test_after_scheduling_and_after_the_end_of_a_delete(
        self, world: World, groups: dict[str, int], spread: dict[str, int]
    ) -> None:
        """A new member concerns the hosts that have it as a source; its own host plugs it anyway.

        What is no source concerns nobody, also where others have the same group.
        """
        world.rows("UPDATE hosts SET enabled = name = 'cmp3' RETURNING id")
        workers = Workers(world, "cmp1", "cmp2", "cmp3", "cmp4")
        (member,) = world.create("new", security_groups=("web", "alone"))
        assert workers.schedule() == {"cmp2"}
        assert workers.work() == set()
        do(world, delete_server(world, member))
        assert workers.schedule() == set()
        assert workers.work() == {"cmp2"}
        (other,) = world.create("other", security_groups=("db", "alone"))
        assert workers.schedule() | workers.work() == set()
        do(world, delete_server(world, other))
        assert workers.schedule() | workers.work() == set()
        workers.stop()

    def test_a_create_that_ends_in_error(
        self, world: World, groups: dict[str, int], spread: dict[str, int]
    ) -> None:
        """It gives its address back: who had it as a source looks."""
        world.rows("UPDATE hosts SET enabled = name = 'cmp3' RETURNING id")
        workers = Workers(world, "cmp1", "cmp2", "cmp3", "cmp4")
        (member,) = world.create("new", security_groups=("web",))
        assert workers.schedule() == {"cmp2"}
        world.rows("UPDATE operations SET deadline = now() WHERE finished_at IS NULL RETURNING id")
        assert workers.work() == {"cmp2"}
        states = "SELECT vm_state FROM servers WHERE id = :id"
        assert world.one(states, id=member) == "ERROR"
        workers.stop()

    def test_a_delete_on_a_silent_host(
        self, world: World, groups: dict[str, int], spread: dict[str, int]
    ) -> None:
        """The others forget its address at once, and hear nothing when the host is back."""
        silence(world, "cmp1")
        workers = Workers(world, "cmp1", "cmp2", "cmp3", "cmp4")
        do(world, delete_server(world, spread["w"]))
        assert workers.schedule() == {"cmp2"}
        assert workers.work() == set()
        do(world, delete_server(world, spread["v"]))  # whose host is not silent
        assert workers.schedule() == set()
        assert workers.work() == {"cmp2"}
        workers.stop()
