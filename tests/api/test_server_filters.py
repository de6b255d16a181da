"""Queries of GET servers and servers/detail (R40-R56, R139, R140, D10, D11, D52, D53)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from lxml import etree
from sqlalchemy import Engine, text

from db.queries import server_changes, server_lists
from tests.api.client import Api, fault
from tests.api.world import ALPHA, BASE, World

NAMES = {1: "web-1", 2: "web.2", 3: "db", 4: "set", 5: "set"}


@pytest.fixture
def servers(api: Api, records: World, database: Engine) -> World:
    """1 and 2 run, 3 is rebuilt, 4 and 5 wait; 3 is of another image, 2 of another flavor."""
    api.create("web-1", records.images["public"])
    api.create("web.2", records.images["public"], flavorRef="101")
    api.create("db", records.images["alpha"])
    api.create("set", records.images["public"], min_count=2)
    execute(database, "UPDATE servers SET vm_state = 'ACTIVE', task_state = NULL WHERE id < 4")
    execute(database, "UPDATE servers SET task_state = 'rebuilding' WHERE id = 3")
    return records


def execute(database: Engine, statement: str, **values: Any) -> None:
    with database.begin() as conn:
        conn.execute(text(statement), values)


def forget(database: Engine, server_id: int) -> None:
    with database.begin() as conn:
        server_changes.forget(conn, server_id)


def ids(api: Api, query: str) -> list[int]:
    """Ids that a query finds, in both lists and both forms alike."""
    found = []
    for path in ("servers", "servers/detail"):
        answer = api.get(f"{path}?{query}")
        assert answer.status_code == 200, answer.text
        found.append([server["id"] for server in answer.json()["servers"]])
        root = etree.fromstring(api.get(f"{path}.xml?{query}").content)
        found.append([int(child.get("id", "")) for child in root])
    assert all(one == found[0] for one in found)
    return found[0]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [5, 4, 3, 2, 1]),
        ("image={public}", [5, 4, 2, 1]),
        ("image=http://x/images/{alpha}", [3]),
        ("image={beta}", []),
        ("image=999", []),
        ("image=x", []),
        ("flavor=101", [2]),
        ("flavor=http://x/flavors/101", [2]),
        ("flavor=7", []),
        ("flavor=standard.small", []),
        ("name=web", [2, 1]),
        ("name=web-1", [1]),
        ("name=eb", []),
        ("name=WEB", []),
        ("name=web.2", [2]),
        ("name=web.", [2, 1]),
        ("name=.*[12]$", [2, 1]),
        ("name=d|s", [5, 4, 3]),
        ("name=[", []),
        ("name=web.2(", []),
        ("name=%28%3Fi%29WEB", [2, 1]),
        ("status=ACTIVE", [3, 2, 1]),
        ("status=active", [3, 2, 1]),
        ("status=ACTIVE(rebuilding)", [3]),
        ("status=Active(rebuilding)", []),
        ("status=ACTIVE(rebooting)", []),
        ("status=BUILD(scheduling)", [5, 4]),
        ("status=build", [5, 4]),
        ("status=SUSPENDED", []),
        ("status=DELETED", []),
        ("status=ACTIVE&name=web&image={public}&flavor=100", [1]),
        ("status=ACTIVE&name=set", []),
        ("image=&flavor=&name=&status=&changes-since=&marker=&limit=", [5, 4, 3, 2, 1]),
        ("unknown=1&all_tenants=1&ignore_awful_caching1353", [5, 4, 3, 2, 1]),
        ("limit=2", [5, 4]),
        ("limit=2&marker=4", [3, 2]),
        ("name=web&limit=1&marker=2", [1]),
        ("name=web&marker=1", []),
        ("name=web.&marker=2", [1]),
    ],
)
def test_r139_r140_d53_filters(api: Api, servers: World, query: str, found: list[int]) -> None:
    """Also D1, D10, D11, D83, D84: forms of ids, empty and unknown parameters, pages."""
    assert ids(api, query.format(**servers.images) if "{" in query else query) == found


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("status=SLEEPING", "Invalid server status: SLEEPING"),
        ("status=REBOOT", "Invalid server status: REBOOT"),
        ("status=ACTIVE(", "Invalid server status: ACTIVE("),
        ("status=(rebuilding)", "Invalid server status: (rebuilding)"),
        ("status=SLEEPING(scheduling)", "Invalid server status: SLEEPING(scheduling)"),
        ("changes-since=yesterday", "Invalid changes-since value"),
        ("changes-since=2012-13-01T00:00:00Z", "Invalid changes-since value"),
        ("marker=web-1", "marker [web-1] not found"),
        ("marker=999", "marker [999] not found"),
        ("name=web&marker=3", "marker [3] not found"),
        ("name=web.&marker=3", "marker [3] not found"),
        ("name=[&marker=3", "marker [3] not found"),
        ("status=BUILD&marker=1", "marker [1] not found"),
        ("limit=x", "limit param must be an integer"),
        ("limit=-1", "limit param must be positive"),
    ],
)
@pytest.mark.parametrize("path", ["servers", "servers/detail"])
def test_r42_r46_r56_what_is_refused(
    api: Api, servers: World, path: str, query: str, message: str
) -> None:
    assert fault(api.get(f"{path}?{query}")) == (400, "badRequest", message)
    assert fault(api.get(f"{path}.xml?{query}")) == (400, "badRequest", message)


class TestChangesSince:
    @pytest.mark.parametrize(
        "time",
        ["2012-01-01T00:00:00Z", "2012-01-01T00:00", "2012-01-01T00:00:00.5", "2012-01-01 00:00",
         "2012-01-01T00:00:00+0100", "2012-01-01T00:00:00+01:00", "2012-01-01T00:00:00-01:00"],
    )  # fmt: skip
    def test_r50_d52_forms(self, api: Api, servers: World, database: Engine, time: str) -> None:
        forget(database, 1)
        for form in (time, quote(time, safe="")):
            assert ids(api, f"changes-since={form}") == [5, 4, 3, 2, 1]

    def test_r51_r52_later_ones_only(self, api: Api, servers: World, database: Engine) -> None:
        execute(database, "UPDATE servers SET updated_at = '2030-01-01T00:00:00Z' WHERE id = 2")
        assert ids(api, "changes-since=2029-12-31T23:59:59Z") == [2]
        assert ids(api, "changes-since=2030-01-01T00:00:00Z") == []  # strictly
        assert ids(api, "changes-since=2030-01-01T01:00:00%2B01:00") == []
        assert ids(api, "changes-since=2030-01-01T00:59:59%2B01:00") == [2]
        assert ids(api, "changes-since=2029-12-31T23:59:59Z&status=BUILD") == []

    def test_r53_deleted_ones_with_their_last_data(
        self, api: Api, servers: World, database: Engine
    ) -> None:
        api.delete("servers/1")
        assert ids(api, "status=ACTIVE&name=web-1") == [1]  # ACTIVE(deleting)
        forget(database, 1)
        assert ids(api, "") == [5, 4, 3, 2]
        assert ids(api, "status=DELETED") == []
        assert ids(api, "status=DELETED&changes-since=2012-01-01T00:00:00Z") == [1]
        assert ids(api, "status=ACTIVE&changes-since=2012-01-01T00:00:00Z") == [3, 2]
        answer = api.get("servers/detail?changes-since=2012-01-01T00:00:00Z&name=web-1")
        (shown,) = answer.json()["servers"]
        assert (shown["status"], shown["name"], shown["id"]) == ("DELETED", "web-1", 1)
        assert "progress" not in shown
        assert shown["image"]["id"] == str(servers.images["public"])
        assert shown["links"][0]["href"] == f"{BASE}/v1.1/{ALPHA}/servers/1"
        assert ids(api, "changes-since=2012-01-01T00:00:00Z&marker=2") == [1]
        assert fault(api.get("servers?marker=1"))[0] == 400  # D11

    def test_r52_nothing_changed(self, api: Api, servers: World) -> None:
        answer = api.get("servers/detail?changes-since=2100-01-01T00:00:00Z")
        assert (answer.status_code, answer.json()) == (200, {"servers": []})


class TestExpressions:
    """D53: expressions are run with a bounded engine (security: row 19)."""

    @pytest.mark.parametrize("bomb", ["(a+)+$", "(a|aa)+$", "(.*a){20}", r"(a*)*\1b", "[[]" * 99])
    def test_bombs(self, api: Api, servers: World, bomb: str) -> None:
        api.create("a" * 254 + "!", servers.images["public"])
        assert api.get(f"servers?name={quote(bomb, safe='')}").status_code == 200
        assert api.get("servers").status_code == 200

    def test_what_would_take_too_long(
        self, api: Api, servers: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server_lists, "MOST_MILLISECONDS", 100)
        endless = quote("(^|$|a)*" * 25 + "b", safe="")
        assert fault(api.get(f"servers?name={endless}")) == (
            400, "badRequest", "Server name expression takes too long",
        )  # fmt: skip
        assert ids(api, "name=web") == [2, 1]

    def test_literally_when_it_is_none(self, api: Api, servers: World) -> None:
        api.create("x[y", servers.images["public"])
        api.create("x[", servers.images["public"])
        assert ids(api, "name=x[") == [7, 6]
        assert ids(api, "name=x[y") == [6]
