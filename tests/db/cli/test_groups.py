"""``undercast group``: what the rules let in, and where they are in force (R237-R254)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from db.queries import group_state, security_group_changes, server_changes
from db.queries.group_state import InForce
from db.queries.security_group_changes import NewRule
from deploy.cli import output
from tests.db.cli.conftest import Undercast
from tests.db.test_server_actions import active
from tests.db.world import World


def make(world: World, name: str, description: str = "", scope: Any = None) -> int:
    with world.engine.begin() as conn:
        made = security_group_changes.create(conn, scope or world.scope, name, description)
    return made.id


def allow(
    world: World, group: int, protocol: str | None, first: int | None, last: int | None,
    cidr: str | None = "0.0.0.0/0", source: int | None = None,
) -> int:  # fmt: skip
    with world.engine.begin() as conn:
        new = NewRule(group, protocol, first, last, None if source else cidr, source)
        rule, _ = security_group_changes.add_rule(conn, world.scope, new)
    return rule.id


def apply(world: World, host: str, *groups: int, error: str | None = None) -> None:
    """The host has the groups in force as they are, but for an ``error`` of the first."""
    rows = world.rows("SELECT id, generation FROM security_groups")
    wanted = {row.id: row.generation for row in rows}
    states = {each: InForce(wanted[each]) for each in groups}
    states[groups[0]] = InForce(wanted[groups[0]], error)
    with world.engine.begin() as conn:
        group_state.report(conn, host, states, groups)


class TestList:
    def test_of_all_tenants_and_of_one(self, undercast: Undercast, world: World) -> None:
        web = make(world, "web", "What customers see")
        allow(world, web, "tcp", 80, 80)
        active(world, security_groups=("web",))
        (gone,) = world.create("gone", security_groups=("web",))
        with world.engine.begin() as conn:
            server_changes.forget(conn, gone)
        rows = undercast.json("group", "list", "--tenant", "tenant of ann")
        assert [row["name"] for row in rows if row["zone"].startswith("az-1")] == ["default", "web"]
        (shown,) = (row for row in rows if row["id"] == web)
        assert shown == {
            "id": web, "name": "web", "tenant_id": world.scope.tenant_id,
            "tenant": "tenant of ann", "zone": "az-1.region-a.geo-1",
            "description": "What customers see", "rules": 1, "servers": 1, "source_of": [],
            "generation": shown["generation"],
        }  # fmt: skip
        everyone = undercast.json("group", "list")
        assert {row["tenant"] for row in everyone} == {"tenant of ann", "tenant of bob"}
        assert "What customers see" in undercast.table("group", "list")
        assert "undercast tenant list" in undercast.refused(3, "group", "list", "--tenant", "x")


class TestShow:
    def test_rules_as_people_read_them(self, undercast: Undercast, world: World) -> None:
        """R245-R249."""
        web, db = make(world, "web"), make(world, "db")
        allow(world, web, "tcp", 22, 22, "10.1.0.0/16")
        allow(world, web, "udp", 1, 65535, source=db)
        allow(world, web, "icmp", -1, -1)
        allow(world, web, "icmp", 3, 4)
        allow(world, web, "icmp", 8, -1)
        allow(world, web, None, None, None, "192.0.2.1/32")
        lines = [line.split() for line in undercast.table("group", "show", "web").splitlines()]
        rules = [line[1:] for line in lines if line and line[0].isdigit()]
        assert rules == [
            ["tcp", "22", "10.1.0.0/16"],
            ["udp", "1-65535", "group", "db", f"({db})"],
            ["icmp", "all", "0.0.0.0/0"],
            ["icmp", "type", "3,", "code", "4", "0.0.0.0/0"],
            ["icmp", "type", "8,", "all", "codes", "0.0.0.0/0"],
            ["any", "all", "192.0.2.1/32"],
        ]
        shown = undercast.json("group", "show", web)
        assert shown["rules"][1]["source_id"] == db
        assert undercast.json("group", "show", db)["source_of"] == ["web"]
        assert "web" in undercast.table("group", "show", "db")

    @pytest.mark.parametrize("verb", ["show", "status"])
    def test_names_are_a_tenants_and_a_zones(
        self, undercast: Undercast, world: World, verb: str
    ) -> None:
        said = undercast.refused(1, "group", verb, "default")
        for row in undercast.json("group", "list"):
            assert f"{row['id']} ({row['tenant']}, {row['zone']})" in said
        both = undercast.refused(1, "group", verb, "default", "--tenant", "tenant of ann")
        assert "tenant of bob" not in both
        mine = make(world, "web")
        make(world, "web", scope=world.stranger)
        of = ("--tenant", world.scope.tenant_id)
        assert undercast.json("group", verb, "web", *of)["id"] == mine
        assert undercast.json("group", verb, mine)["id"] == mine

    def test_a_name_that_could_be_an_id(self, undercast: Undercast, world: World) -> None:
        named = make(world, "404")
        assert undercast.json("group", "show", "404")["id"] == named
        other = make(world, str(named))
        assert undercast.json("group", "show", named)["id"] == named
        assert undercast.json("group", "show", other)["name"] == str(named)

    @pytest.mark.parametrize("verb", ["show", "status"])
    @pytest.mark.parametrize("key", ["nosuch", "9999", str(2**70)])
    def test_an_unknown_one(self, undercast: Undercast, world: World, verb: str, key: str) -> None:
        assert "undercast group list" in undercast.refused(3, "group", verb, key)

    def test_another_tenants_id(self, undercast: Undercast, world: World) -> None:
        hers = make(world, "web", scope=world.stranger)
        words = ("group", "show", hers, "--tenant", "tenant of ann")
        assert "of tenant tenant of ann" in undercast.refused(3, *words)

    def test_a_clients_words_are_harmless(self, undercast: Undercast, world: World) -> None:
        make(world, "evil\x1b[31m", "a\rb")
        assert "\x1b" not in undercast.table("group", "list")


class TestStatus:
    def test_a_group_that_concerns_no_host(self, undercast: Undercast, world: World) -> None:
        web = make(world, "web")
        assert "it concerns no host now" in undercast.table("group", "status", web, "--wait", 0)
        shown = undercast.json("group", "status", web)
        assert (shown["hosts"], shown["in_force"], shown["generation"]) == ([], True, 1)

    @pytest.fixture
    def web(self, world: World) -> int:
        """Members on cmp1 and cmp10, and on cmp2 one of a group that has it as a source."""
        web, db = make(world, "web"), make(world, "db")
        allow(world, db, "tcp", 3306, 3306, source=web)
        allow(world, web, "tcp", 80, 80)
        for name, host, group in (
            ("a", "cmp1", "web"), ("b", "cmp1", "web"), ("c", "cmp10", "web"), ("d", "cmp2", "db"),
            ("e", "cmp3", "default"),
        ):  # fmt: skip
            active(world, name, host, security_groups=(group,))
        return web

    def test_r252_r254_per_host_concerned(
        self, undercast: Undercast, world: World, web: int
    ) -> None:
        apply(world, "cmp1", web)
        shown = undercast.json("group", "status", web)
        hosts = {host["host"]: host for host in shown["hosts"]}
        assert list(hosts) == ["cmp1", "cmp2", "cmp10"]
        assert [host["servers"] for host in shown["hosts"]] == [2, 0, 1]
        assert [host["in_force"] for host in shown["hosts"]] == [True, False, False]
        assert hosts["cmp1"]["applied"] == hosts["cmp1"]["wanted"] == shown["generation"]
        assert hosts["cmp1"]["applied_at"].endswith("Z")
        assert hosts["cmp2"]["applied"] is None
        assert {host["alive"] for host in shown["hosts"]} == {True}
        assert not shown["in_force"]
        table = undercast.table("group", "status", web)
        assert "in force on 1 of 3 hosts" in table

    def test_wait_ends_at_once_when_in_force(
        self, undercast: Undercast, world: World, web: int
    ) -> None:
        for host in ("cmp1", "cmp2", "cmp10"):
            apply(world, host, web)
        assert undercast.json("group", "status", web, "--wait", 600)["in_force"]

    def test_wait_until_the_last_host_has_it(
        self, undercast: Undercast, world: World, web: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks: list[int] = []
        real = group_state.status

        def status(*args: Any) -> Any:
            looks.append(1)
            return real(*args)

        monkeypatch.setattr(group_state, "status", status)

        def hosts_apply() -> None:
            for host in ("cmp1", "cmp2", "cmp10"):
                apply(world, host, web)

        later = threading.Timer(0.5, hosts_apply)
        later.start()
        shown = undercast.json("group", "status", web, "--wait", 60)
        later.join()
        assert shown["in_force"]
        assert len(looks) > 1

    def test_wait_says_who_lags_and_why(self, undercast: Undercast, world: World, web: int) -> None:
        for host in ("cmp1", "cmp10"):
            apply(world, host, web)
        apply(world, "cmp2", web, error="rule 7 is left out: ports 9 to 3")
        assert "no: rule 7 is left out" in undercast.table("group", "status", web)
        said = self.late(undercast, web)
        assert "cmp2 (alive, rule 7 is left out: ports 9 to 3)" in said
        assert "cmp10" not in said
        allow(world, web, "tcp", 81, 81)
        wanted = undercast.json("group", "status", web)["generation"]
        world.rows("UPDATE host_heartbeats SET at = at - interval '1 h' RETURNING at")
        world.rows("UPDATE hosts SET enabled = false WHERE name = 'cmp10' RETURNING id")
        said = self.late(undercast, web)
        assert f"cmp1 (silent for 1:00:00, has generation {wanted - 1} of {wanted})" in said
        assert "cmp10 (silent for 1:00:00, disabled, has generation" in said
        world.rows("DELETE FROM host_heartbeats RETURNING host_id")
        world.rows("DELETE FROM host_security_groups RETURNING host_id")
        assert "cmp1 (silent (never heard), has said nothing of it)" in self.late(undercast, web)
        assert undercast.run("group", "status", web).exit_code == 0

    def late(self, undercast: Undercast, group: int) -> str:
        result = undercast.run("group", "status", group, "--wait", 0)
        assert result.exit_code == 1
        assert "in force on" in result.stdout
        assert result.stderr.startswith("undercast: After 0 s the group is not in force on ")
        return result.stderr

    def test_json_of_one_that_is_late(self, undercast: Undercast, web: int) -> None:
        result = undercast.run("group", "status", web, "--wait", 0, "--format", "json")
        assert result.exit_code == 1
        assert '"in_force": false' in result.stdout

    def test_the_table_reads_well_at_100_columns(
        self, undercast: Undercast, world: World, web: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One line a host, also while one is silent and disabled."""
        apply(world, "cmp1", web)
        world.rows("UPDATE host_heartbeats SET at = at - interval '1 h' RETURNING at")
        world.rows("UPDATE hosts SET enabled = false WHERE name = 'cmp10' RETURNING id")
        monkeypatch.setattr(output, "PIPE_WIDTH", 100)
        table = undercast.table("group", "status", web)
        assert max(len(line.rstrip()) for line in table.splitlines()) <= 100
        rows = [line for line in table.splitlines() if line.startswith("cmp")]
        assert len(rows) == 3
        assert "silent for 1:00:00, disabled" in rows[2]
        assert len(table.strip().splitlines()) == 7  # head, blank, columns, rule, hosts

    def test_deleted_while_one_waits(self, undercast: Undercast, world: World, web: int) -> None:
        def delete() -> None:
            with world.engine.begin() as conn:
                security_group_changes.delete(conn, world.scope, web)

        later = threading.Timer(0.5, delete)
        later.start()
        said = undercast.refused(3, "group", "status", "web", "--wait", 60)
        later.join()
        assert "There is no security group" in said
