"""Schema, exit codes, output, and the nouns that an operator starts with."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import URL, make_url, text

from db.passwords import verify_password
from db.queries import floating_ips
from db.settings import settings
from deploy.cli.main import NOUNS
from tests.databases import Server, using
from tests.db.cli.conftest import Undercast
from tests.db.world import World, add_addresses, add_host

ZONE = "az-1.region-a.geo-1"


class TestDb:
    @pytest.fixture
    def empty(self, postgres: Server, undercast: Undercast) -> URL:
        return postgres.fresh(empty=True)

    def test_from_nothing_to_usable_and_back(self, empty: URL, undercast: Undercast) -> None:
        with using(empty):
            assert undercast.json("db", "version") == {"revision": None}
            made = undercast.json("db", "upgrade")
            assert made["revision"]
            assert made["zone_made"] == ZONE
            assert undercast.json("db", "upgrade") == {**made, "zone_made": None}
            assert [zone["name"] for zone in undercast.json("zone", "list")] == [ZONE]
            assert undercast.json("db", "downgrade", "base") == {"revision": None}

    def test_without_a_schema(self, empty: URL, undercast: Undercast) -> None:
        with using(empty):
            said = undercast.refused(1, "tenant", "list")
        assert "undercast db upgrade" in said

    @pytest.mark.parametrize("revision", ["nosuch", "../etc", ""])
    def test_unknown_revision(self, undercast: Undercast, revision: str) -> None:
        assert "no revision" in undercast.refused(3, "db", "upgrade", revision)


class TestExitCodes:
    def test_the_database_is_away(self, undercast: Undercast) -> None:
        with using(make_url("postgresql+psycopg://u@127.0.0.1:1/none")):
            said = undercast.refused(4, "tenant", "list")
        assert "does not answer" in said

    def test_the_password_is_not_told(self, undercast: Undercast) -> None:
        with using(make_url("postgresql+psycopg://u:hush@127.0.0.1:1/none")):
            assert "hush" not in undercast.refused(4, "tenant", "list")

    @pytest.mark.parametrize(
        "words",
        [
            ["tenant"], ["tenant", "nosuch"], ["nosuch"], ["tenant", "create"],
            ["tenant", "create", "x", "--id", "abc"], ["tenant", "create", "-x\n"],
            ["quota", "set", "demo", "dreams=1"], ["tenant", "list", "--format", "xml"],
            ["pool", "create", "p", "--range", "10.0.0.9-10.0.0.1"], ["pool", "create", "p"],
            ["network", "create", "n", "--cidr", "10.0.0.1/8", "--gateway", "10.0.0.1"],
        ],
    )  # fmt: skip
    def test_wrong_usage(self, undercast: Undercast, words: list[str]) -> None:
        assert undercast.run(*words).exit_code == 2

    @pytest.mark.parametrize(
        "words",
        [
            ["quota", "show", "nobody"], ["user", "create", "ann", "--tenant", "nobody"],
            ["flavor", "delete", "9"], ["image", "delete", 9], ["host", "show", "cmp9"],
            ["host", "disable", "cmp9", "--reason", "x"], ["host", "enable", "cmp9"],
            ["server", "show", "9"], ["server", "timeline", 2**70], ["server", "why", "nobody"],
            ["server", "show", "00000000-0000-0000-0000-000000000000"], ["operation", "show", 9],
            ["pool", "create", "p", "--range", "10.9.0.0/24", "--zone", "nowhere"],
            ["user", "join", "nobody", "--tenant", "nobody"], ["server", "list", "--tenant", "x"],
        ],
    )  # fmt: skip
    def test_not_found(self, undercast: Undercast, words: list[object]) -> None:
        assert "There is no" in undercast.refused(3, *words)

    def test_settings_that_are_wrong(
        self, undercast: Undercast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("UNDERCAST_LEASE_SECONDS", "soon")
        settings.cache_clear()
        said = undercast.refused(1, "operation", "list")
        assert "lease_seconds" in said


class TestHelp:
    def test_all_nouns_and_exit_codes(self, undercast: Undercast) -> None:
        said = undercast.table("--help")
        for noun in NOUNS:
            assert re.search(rf"^\W*{noun} ", said, re.MULTILINE), noun
        assert "4 database away" in " ".join(said.split())

    @pytest.mark.parametrize("noun", NOUNS)
    def test_each_noun(self, undercast: Undercast, noun: str) -> None:
        said = undercast.table(noun, "--help")
        assert NOUNS[noun].split(":")[0].split()[0] in said

    @pytest.mark.parametrize(
        "noun", [noun for noun in NOUNS if noun not in ("db", "quota", "limit")]
    )
    def test_an_empty_list(self, undercast: Undercast, noun: str) -> None:
        rows = undercast.json(noun, "list")
        assert (rows == []) == (noun != "zone")
        assert undercast.table(noun, "list")


class TestTenantsAndUsers:
    def test_a_tenant(self, undercast: Undercast) -> None:
        made = undercast.json("tenant", "create", "demo", "--description", "to show")
        assert re.fullmatch(r"\d{14}", made["id"])
        assert (made["name"], made["description"], made["enabled"]) == ("demo", "to show", True)
        assert undercast.json("tenant", "list") == [made]
        assert "already" in undercast.refused(1, "tenant", "create", "demo")
        assert undercast.json("tenant", "create", "demo", "--if-missing") == made
        assert "demo" in undercast.table("tenant", "list")

    def test_a_tenant_with_an_id(self, undercast: Undercast) -> None:
        assert undercast.json("tenant", "create", "demo", "--id", "42")["id"] == "42"
        undercast.refused(1, "tenant", "create", "other", "--id", "42")
        undercast.refused(1, "tenant", "create", "other", "--id", "42", "--if-missing")

    def test_a_user(self, undercast: Undercast, world: World) -> None:
        made = undercast.json(
            "user", "create", "eve", "--tenant", "tenant of ann", "--password-stdin",
            input="secret\n",
        )  # fmt: skip
        (role,) = made["roles"]
        assert (role["tenant"], role["role"]) == ("tenant of ann", "member")
        stored = world.one("SELECT password_hash FROM users WHERE name = 'eve'")
        assert stored.startswith("$argon2id$")
        assert verify_password(stored, "secret")
        assert "already" in undercast.refused(1, "user", "create", "eve", "--password-stdin")
        joined = undercast.json(
            "user", "join", "eve", "--tenant", world.stranger.tenant_id, "--role", "guest"
        )
        assert [role["role"] for role in joined["roles"]] == ["member", "guest"]
        assert joined in undercast.json("user", "list")

    def test_if_missing_asks_for_no_password(self, undercast: Undercast, world: World) -> None:
        words = ("user", "create", "ann", "--tenant", "tenant of bob", "--if-missing")
        assert len(undercast.json(*words)["roles"]) == 2

    def test_a_password_is_asked_for_twice(self, undercast: Undercast, world: World) -> None:
        result = undercast.run("user", "create", "eve", input="one\none\n")
        assert result.exit_code == 0, result.output
        stored = world.one("SELECT password_hash FROM users WHERE name = 'eve'")
        assert verify_password(stored, "one")

    @pytest.mark.parametrize("password", ["\n", "x" * 2000 + "\n", ""])
    def test_security_29_bad_passwords(self, undercast: Undercast, password: str) -> None:
        said = undercast.refused(1, "user", "create", "eve", "--password-stdin", input=password)
        assert "password" in said
        assert undercast.json("user", "list") == []


class TestZones:
    def test_a_second_zone(self, undercast: Undercast) -> None:
        undercast.json("tenant", "create", "demo")
        made = undercast.json(
            "zone", "create", "az-2", "--compute-url", "https://az-2.example.com", "--root-gb", 10,
            "--domain", "az2.example",
        )  # fmt: skip
        assert made["root_gb"] == 10
        assert made["hostname_domain"] == "az2.example"
        undercast.refused(1, "zone", "create", "az-2")
        assert undercast.json("zone", "create", "az-2", "--if-missing") == made

    def test_a_zone_is_changed(self, undercast: Undercast) -> None:
        undercast.json("zone", "create", "az-2", "--domain", "az2.example")
        changed = undercast.json("zone", "set", "az-2", "--root-gb", 10)
        assert (changed["root_gb"], changed["hostname_domain"]) == (10, "az2.example")
        assert undercast.json("zone", "set", "az-2", "--domain", "x")["root_gb"] == 10
        assert "undercast zone list" in undercast.refused(3, "zone", "set", "nowhere")

    @pytest.mark.parametrize(
        "words",
        [["--compute-url", "ftp://x"], ["--compute-url", "http://x/path"], ["--domain", "a\nb"],
         ["--domain", "-x"], ["--root-gb", "-1"]],
    )  # fmt: skip
    def test_security_28_bad_texts(self, undercast: Undercast, words: list[str]) -> None:
        assert undercast.run("zone", "create", "az-2", *words).exit_code == 2


class TestQuotas:
    def test_show_and_set(self, undercast: Undercast, world: World) -> None:
        world.create(min_count=3, max_count=3)
        tenant = world.scope.tenant_id
        before = {row["resource"]: row for row in undercast.json("quota", "show", tenant)}
        assert before["instances"] == {
            "resource": "instances", "limit": 20, "used": 3, "own": False,
        }  # fmt: skip
        rows = undercast.json("quota", "set", tenant, "cores=40", "ram=unlimited", "instances=-1")
        after = {row["resource"]: row["limit"] for row in rows}
        assert (after["cores"], after["ram"], after["instances"]) == (40, -1, -1)
        assert "unlimited" in undercast.table("quota", "show", tenant)
        there = undercast.json("quota", "show", tenant, "--zone", "az-2.region-a.geo-1")
        assert {row["own"] for row in there} == {False}

    @pytest.mark.parametrize("limit", ["cores=-2", "cores=x", "cores", "cores=", "cores=1e3", "=1"])
    def test_bad_limits_set_none(self, undercast: Undercast, world: World, limit: str) -> None:
        assert undercast.run("quota", "set", world.scope.tenant_id, "ram=1", limit).exit_code == 2
        assert world.one("SELECT count(*) FROM quotas") == 0


class TestLimits:
    """Rate limits (R66-R68)."""

    @staticmethod
    def values(rows: list[dict[str, object]]) -> dict[str, object]:
        return {str(row["name"]): row["value"] for row in rows}

    def test_show(self, undercast: Undercast, world: World) -> None:
        rows = undercast.json("limit", "show", world.scope.tenant_id)
        assert rows[1] == {
            "name": "get_list", "verb": "GET", "uri": "/{suburi}", "regex": "/{suburi}",
            "value": 200, "unit": "MINUTE", "lists_only": True, "own": False,
        }  # fmt: skip
        assert self.values(rows) == {
            "get": 3000, "get_list": 200, "put": 10, "post": 40, "delete": 60,
        }  # fmt: skip
        shown = undercast.table("limit", "show", world.scope.tenant_id)
        assert re.search(r"get_list +GET of lists +/\{suburi\} +200 a minute +no", shown)

    def test_set_off_and_reset(self, undercast: Undercast, world: World) -> None:
        tenant = world.scope.tenant_id
        rows = undercast.json("limit", "set", tenant, "post", 100)
        assert self.values(rows)["post"] == 100
        assert [row["name"] for row in rows if row["own"]] == ["post"]
        assert self.values(undercast.json("limit", "set", tenant, "put", "unlimited"))["put"] == -1
        assert self.values(undercast.json("limit", "off", tenant, "get"))["get"] == -1
        assert "unlimited" in undercast.table("limit", "show", tenant)
        assert self.values(undercast.json("limit", "reset", tenant, "post"))["post"] == 40
        for _ in range(2):  # again does no harm
            assert set(self.values(undercast.json("limit", "off", tenant)).values()) == {-1}
        rows = undercast.json("limit", "reset", tenant)
        assert not any(row["own"] for row in rows)
        assert world.one("SELECT count(*) FROM rate_limits") == 0

    def test_r66_per_tenant_and_zone(self, undercast: Undercast, world: World) -> None:
        tenant, zone = world.scope.tenant_id, ("--zone", "az-2.region-a.geo-1")
        undercast.json("limit", "set", tenant, "post", 1, *zone)
        assert self.values(undercast.json("limit", "show", tenant, *zone))["post"] == 1
        assert self.values(undercast.json("limit", "show", tenant))["post"] == 40
        other = undercast.json("limit", "show", world.stranger.tenant_id, *zone)
        assert self.values(other)["post"] == 40
        undercast.json("limit", "reset", tenant)
        assert self.values(undercast.json("limit", "show", tenant, *zone))["post"] == 1

    @pytest.mark.parametrize("value", ["0", "-2", "x", "1e3", "", "1000001", "9" * 40, "1.5"])
    def test_bad_values_set_nothing(self, undercast: Undercast, world: World, value: str) -> None:
        undercast.refused(2, "limit", "set", world.scope.tenant_id, "post", "--", value)
        assert world.one("SELECT count(*) FROM rate_limits") == 0

    @pytest.mark.parametrize(
        "verb", [("set", "nosuch", "1"), ("off", "nosuch"), ("reset", "nosuch")]
    )
    def test_an_unknown_rate_names_those_there_are(
        self, undercast: Undercast, world: World, verb: tuple[str, ...]
    ) -> None:
        said = undercast.refused(2, "limit", verb[0], world.scope.tenant_id, *verb[1:])
        assert "get, get_list, put, post, delete" in " ".join(said.replace("│", "").split())

    def test_an_unknown_tenant_or_zone(self, undercast: Undercast, world: World) -> None:
        assert "undercast tenant list" in undercast.refused(3, "limit", "show", "nobody")
        said = undercast.refused(3, "limit", "off", world.scope.tenant_id, "--zone", "nowhere")
        assert "undercast zone list" in said

    def test_rates_of_the_settings(
        self, undercast: Undercast, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tenant = world.scope.tenant_id
        undercast.json("limit", "set", tenant, "post", 1)
        monkeypatch.setattr(settings(), "rates", ())
        assert undercast.json("limit", "show", tenant) == []
        assert "no rates" in undercast.refused(2, "limit", "set", tenant, "post", 1)
        undercast.json("limit", "reset", tenant)  # also of rates that are no more
        assert world.one("SELECT count(*) FROM rate_limits") == 0


class TestFlavors:
    def test_life(self, undercast: Undercast) -> None:
        assert [row["id"] for row in undercast.json("flavor", "defaults")] == list(range(100, 106))
        assert undercast.json("flavor", "defaults") == []
        words = ("flavor", "create", "lab.tiny", "--vcpus", 1, "--ram", 128)
        made = undercast.json(*words, "--id", 1)
        assert (made["id"], made["disk_gb"]) == (1, 0)
        undercast.refused(1, *words)
        assert undercast.json(*words, "--id", 1, "--if-missing") == made
        undercast.refused(1, "flavor", "create", "x", "--vcpus", 1, "--ram", 1, "--id", 1)
        assert len(undercast.json("flavor", "list")) == 7
        assert undercast.json("flavor", "delete", "lab.tiny") == made
        undercast.refused(3, "flavor", "delete", "lab.tiny")

    def test_a_limit_of_bandwidth(self, undercast: Undercast) -> None:
        words = ("flavor", "create", "slow", "--vcpus", 1, "--ram", 1, "--rxtx-cap")
        for wrong in (-1, 1_000_001, "8M"):
            assert undercast.run(*words, wrong).exit_code == 2
        assert undercast.json("flavor", "list") == []
        made = undercast.json(*words, 8)
        assert (made["rxtx_cap"], made["rxtx_quota"]) == (8, 0)
        assert undercast.json("flavor", "list") == [made]
        assert "rxtx Mbit/s" in undercast.table("flavor", "list")
        free = undercast.json("flavor", "create", "free", "--vcpus", 1, "--ram", 1)
        assert free["rxtx_cap"] == 0
        assert "each direction" in undercast.table("flavor", "create", "--help")


class TestFloating:
    def test_floating_addresses(self, undercast: Undercast, world: World) -> None:
        (server,) = world.create()
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 5, public=5)
            host = add_host(conn, "cmp1")
            conn.execute(text("UPDATE servers SET host_id = :host"), {"host": host})
            for scope in (world.scope, world.scope, world.stranger):
                floating_ips.allocate(conn, scope, pool=None, quarantine=0)
            conn.execute(
                text("UPDATE public_addresses SET server_id = :id WHERE id = 2"), {"id": server}
            )
        first, second, hers = undercast.json("floating", "list")
        tenant, uuid = world.scope.tenant_id, world.one("SELECT uuid::text FROM servers")
        assert first == {
            "id": 1, "project": tenant, "tenant": "tenant of ann", "address": "15.185.16.1",
            "instance": None, "host": None, "pool": "public", "zone": ZONE,
        }  # fmt: skip
        assert (second["instance"], second["host"]) == (uuid, "cmp1")
        assert hers["project"] == world.stranger.tenant_id
        assert undercast.json("floating", "list", "--tenant", tenant) == [first, second]
        assert undercast.json("floating", "list", "--host", "cmp1") == [second]
        assert undercast.json("floating", "list", "--host", "cmp2") == []
        assert "15.185.16.3" in undercast.table("floating", "list")
        undercast.refused(3, "floating", "list", "--tenant", "nobody")


class TestHosts:
    def test_life(self, undercast: Undercast, world: World) -> None:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 5)
            add_host(conn, "cmp10", reserved_ram_mb=192, ram_ratio=1.5)
            add_host(conn, "cmp2")
        first, second = undercast.json("host", "list")
        assert (first["name"], second["name"]) == ("cmp2", "cmp10")
        assert first["alive"]
        assert second["total_ram_mb"] == 12_000
        off = undercast.json("host", "disable", "cmp2", "--reason", "new disk")
        assert (off["enabled"], off["disabled_reason"]) == (False, "new disk")
        assert "disabled (new disk)" in undercast.table("host", "list")
        on = undercast.json("host", "enable", "cmp2")
        assert (on["enabled"], on["disabled_reason"]) == (True, None)

    def test_silence(self, undercast: Undercast, world: World) -> None:
        with world.engine.begin() as conn:
            add_host(conn, "cmp1")
        world.rows("UPDATE host_heartbeats SET at = at - interval '20 s' RETURNING at")
        (host,) = undercast.json("host", "list")
        assert not host["alive"]
        assert 20 <= host["silence"] < 30
        assert "silent for 2" in undercast.table("host", "list")

    def test_what_is_on_it(self, undercast: Undercast, world: World) -> None:
        with world.engine.begin() as conn:
            host = add_host(conn, "cmp1")
        (server_id,) = world.create("web")
        world.rows("UPDATE servers SET host_id = :h RETURNING id", h=host)
        shown = undercast.json("host", "show", "cmp1")
        assert shown["servers"] == 1
        assert [server["id"] for server in shown["on_host"]] == [server_id]
        assert "web" in undercast.table("host", "show", "cmp1")
