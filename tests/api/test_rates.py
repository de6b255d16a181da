"""Rate limits of tenants, and what GET limits says of them."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from lxml import etree
from sqlalchemy import Engine, event, text

from api.limits.shared import Buckets
from db.engine import async_engine
from db.rates import DEFAULT_RATES, Rate
from db.settings import settings
from tests.api.client import ZONE_2_BASE, Api, fault
from tests.api.world import ALPHA, BETA, ZONE_1, World
from tests.redis_server import RedisServer

NS = "{http://docs.openstack.org/compute/api/v1.1}"
EVE = {"token": "eve", "tenant": BETA}


@pytest.fixture
def daily(rates: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default rates by the day: nothing leaks out of a bucket while a test runs."""
    use(monkeypatch, *(rate.model_copy(update={"unit": "DAY"}) for rate in DEFAULT_RATES))


def use(monkeypatch: pytest.MonkeyPatch, *rates: Rate) -> None:
    """These rates are in force."""
    monkeypatch.setattr(settings(), "rates", rates)


def listed(api: Api, **options: Any) -> list[dict[str, Any]]:
    (group,) = api.get("limits", **options).json()["limits"]["rate"]
    found: list[dict[str, Any]] = group["limit"]
    return found


def left(api: Api, **options: Any) -> list[int]:
    """What remains of each rate, by what GET limits says."""
    return [limit["remaining"] for limit in listed(api, **options)]


def own(database: Engine, records: World, tenant: str, **values: int) -> None:
    """Values of a tenant's own in the first zone."""
    with database.begin() as conn:
        for name, value in values.items():
            conn.execute(
                text("INSERT INTO rate_limits VALUES (:t, :z, :n, :v) ON CONFLICT"
                     " (tenant_id, zone_id, name) DO UPDATE SET value = excluded.value"),
                {"t": tenant, "z": records.zones[ZONE_1], "n": name, "v": value},
            )  # fmt: skip


def moment(said: str) -> datetime:
    """A time in the form of R32."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said)
    return datetime.fromisoformat(said)


def until_refused(api: Api, *request: Any) -> httpx.Response:
    """The first refusal of a request that is repeated."""
    for _ in range(50):
        answer = api(*request)
        if answer.status_code == 413:
            return answer
    raise AssertionError("never refused")


@pytest.mark.usefixtures("daily")
class TestLimits:
    """GET limits."""

    def test_r69_the_sample(self, api: Api) -> None:
        before = datetime.now(UTC) - timedelta(seconds=1)
        (group,) = api.get("limits").json()["limits"]["rate"]
        assert (group["uri"], group["regex"]) == ("/{suburi}", "/{suburi}")
        limits = group["limit"]
        assert [(limit["verb"], limit["value"], limit["remaining"]) for limit in limits] == [
            ("GET", 3000, 2999), ("GET", 200, 199), ("PUT", 10, 10), ("POST", 40, 40),
            ("DELETE", 60, 60),
        ]  # fmt: skip
        for limit in limits:
            assert sorted(limit) == ["next-available", "remaining", "unit", "value", "verb"]
            assert before <= moment(limit["next-available"]) <= datetime.now(UTC)  # now

    def test_r69_in_xml(self, api: Api) -> None:
        answer = api.get("limits.xml")
        assert answer.headers["content-type"] == "application/xml; charset=UTF-8"
        root = etree.fromstring(answer.content)
        assert [child.tag for child in root] == [f"{NS}rates", f"{NS}absolute"]
        (rate,) = root[0]
        assert dict(rate.attrib) == {"regex": "/{suburi}", "uri": "/{suburi}"}
        assert len(rate) == 5
        assert sorted(rate[0].attrib) == ["next-available", "remaining", "unit", "value", "verb"]
        assert [limit.get("remaining") for limit in rate] == ["2999", "199", "10", "40", "60"]
        absolute = {limit.get("name"): limit.get("value") for limit in root[1]}
        assert absolute["maxTotalRAMSize"] == "102400"

    def test_r70_d13_what_counts_where(self, api: Api) -> None:
        assert left(api) == [2999, 199, 10, 40, 60]
        for _ in range(3):
            assert api.get("flavors/102").status_code == 200  # an item: not in the second
        for path in ("flavors", "flavors/detail", f"/v2/{ALPHA}/servers", "images.json"):
            assert api.get(path).status_code == 200
        assert api("HEAD", "flavors/detail").status_code == 200  # HEAD is GET
        assert api.add_key("a").status_code == 200
        assert api.delete("os-keypairs/a").status_code == 202
        assert left(api) == [2990, 193, 10, 39, 59]

    def test_r66_whatever_becomes_of_an_authorized_request_it_counts(self, api: Api) -> None:
        assert api.get("flavors/999").status_code == 404
        assert api.post("servers", {"rubbish": 1}).status_code == 400
        assert api.post("servers", content=b"{", headers={"Content-Type": "text/x"}).status_code
        assert left(api) == [2998, 199, 10, 38, 60]

    @pytest.mark.parametrize("token", [None, "nobody", "expired", "unscoped", "eve"])
    def test_what_is_not_authorized_counts_nowhere(self, api: Api, token: str | None) -> None:
        assert api.get("flavors", token=token).status_code == 401
        assert api.post("servers", {}, token=token).status_code == 401
        assert api.get("/v1.1", token=None).status_code == 200
        assert left(api) == [2999, 199, 10, 40, 60]

    def test_r66_tenants_and_zones_are_counted_apart(self, api: Api) -> None:
        for _ in range(10):
            assert api.put("servers/1", {"server": {}}).status_code == 404
        assert api.put("servers/1", {"server": {}}).status_code == 413
        assert api.put("servers/1", {"server": {}}, base=ZONE_2_BASE).status_code == 404
        assert api.put("servers/1", {"server": {}}, **EVE).status_code == 404
        assert api.put("servers/1", {"server": {}}, token="bob").status_code == 413  # same tenant
        assert [left(api)[2], left(api, base=ZONE_2_BASE)[2], left(api, **EVE)[2]] == [0, 9, 9]

    def test_r69_when_the_next_request_may_come(self, api: Api) -> None:
        for _ in range(10):
            api.put("servers/1", {"server": {}})
        limit = listed(api)[2]
        assert limit["remaining"] == 0
        wait = moment(limit["next-available"]) - datetime.now(UTC)
        assert timedelta(hours=2) < wait <= timedelta(seconds=8641)  # a tenth of a day

    def test_rates_are_grouped_by_uri_and_regex(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        servers = {"uri": "*/servers", "regex": "^/servers$"}
        use(
            monkeypatch,
            Rate(name="a", verb="POST", value=1, **servers),
            Rate(name="b", verb="GET", value=2),
            Rate(name="c", verb="GET", value=3, unit="HOUR", **servers),
        )
        assert [
            (group["uri"], group["regex"], [limit["value"] for limit in group["limit"]])
            for group in api.get("limits").json()["limits"]["rate"]
        ] == [("*/servers", "^/servers$", [1, 3]), ("/{suburi}", "/{suburi}", [2])]
        assert api.get("servers").status_code == 200
        assert fault(api.get("servers"))[0] == 413  # R67: b, with the GET of limits


@pytest.mark.usefixtures("rates")
class TestRefusal:
    """Requests that come too soon."""

    def test_r71_d12_the_fault(self, api: Api) -> None:
        answer = until_refused(api, "PUT", "servers/1", {"server": {}})
        assert fault(answer) == (413, "overLimit", "This request was rate-limited.")
        members = answer.json()["overLimit"]
        assert members["details"] == "Only 10 PUT request(s) can be made to /{suburi} every minute."
        assert 1 <= members["retryAfter"] <= 6
        assert answer.headers["retry-after"] == str(members["retryAfter"])

    @pytest.mark.usefixtures("daily")
    def test_r84_the_fault_in_xml(self, api: Api) -> None:
        answer = until_refused(api, "PUT", "servers/1.xml", {"server": {}})
        root = etree.fromstring(answer.content)
        assert (root.tag, root.get("code")) == (f"{NS}overLimit", "413")
        assert root.findtext(f"{NS}message") == "This request was rate-limited."
        assert root.findtext(f"{NS}retryAfter") == answer.headers["retry-after"] != "0"
        details = root.findtext(f"{NS}details")
        assert details == "Only 10 PUT request(s) can be made to /{suburi} every day."

    @pytest.mark.usefixtures("daily")
    def test_r73_it_changes_nothing(
        self, api: Api, records: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(monkeypatch, Rate(name="post", verb="POST", value=2, unit="DAY"))
        for name in ("a", "b"):
            assert api.create(name, records.images["public"]).status_code == 202
        for _ in range(5):
            assert fault(api.create("c", records.images["public"]))[:2] == (413, "overLimit")
        assert [s["name"] for s in api.get("servers").json()["servers"]] == ["b", "a"]
        assert len(api.nudged) == 2

    @pytest.mark.usefixtures("daily")
    def test_simultaneous_requests_are_counted_exactly(self, api: Api) -> None:
        requests = [api.prepare("POST", "os-keypairs", {"keypair": {}}) for _ in range(60)]
        statuses = [answer.status_code for answer in api.all(requests)]
        assert statuses.count(413) == 20
        assert statuses.count(400) == 40

    def test_r72_after_retry_after_it_is_admitted(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(monkeypatch, Rate(name="get", verb="GET", value=1, unit="SECOND"))
        refused = until_refused(api, "GET", "flavors")
        assert refused.headers["retry-after"] == "1"
        time.sleep(1)
        assert api.get("flavors").status_code == 200

    @pytest.mark.usefixtures("daily")
    def test_it_costs_one_statement(self, api: Api) -> None:
        """Own values come with the authorization, and nothing runs after a refusal."""
        until_refused(api, "PUT", "servers/1", {"server": {}})
        statements: list[str] = []

        def note(_: Any, __: Any, statement: str, *___: Any) -> None:
            statements.append(statement)

        engine = async_engine().sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            assert api.put("servers/1", {"server": {}}).status_code == 413
        finally:
            event.remove(engine, "before_cursor_execute", note)
        assert len(statements) == 1
        assert "FROM tokens" in statements[0]


@pytest.mark.usefixtures("daily")
class TestOwnValues:
    """A tenant's own values, in table rate_limits (R66)."""

    def test_they_act_on_the_next_request(self, api: Api, database: Engine, records: World) -> None:
        assert [api.put("servers/1", {"server": {}}).status_code for _ in range(3)] == [404] * 3
        own(database, records, ALPHA, put=4)
        limit = listed(api)[2]
        assert (limit["value"], limit["remaining"]) == (4, 2)  # three tenths of the day are full
        statuses = [api.put("servers/1", {"server": {}}).status_code for _ in range(3)]
        assert statuses == [404, 404, 413]
        assert "Only 4 PUT" in api.put("servers/1", {"server": {}}).json()["overLimit"]["details"]
        own(database, records, ALPHA, put=-1)
        assert [api.put("servers/1", {"server": {}}).status_code for _ in range(20)] == [404] * 20

    def test_r69_unlimited_ones_are_left_out(
        self, api: Api, database: Engine, records: World
    ) -> None:
        own(database, records, ALPHA, get_list=-1, put=-1, nosuch=5)
        assert left(api) == [2999, 40, 60]
        assert left(api, **EVE) == [2999, 199, 10, 40, 60]
        assert left(api, base=ZONE_2_BASE) == [2999, 199, 10, 40, 60]

    def test_a_rate_that_is_off_by_default_may_be_on_for_a_tenant(
        self, api: Api, database: Engine, records: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(monkeypatch, Rate(name="post", verb="POST", value=-1))
        assert api.get("limits").json()["limits"]["rate"] == []
        own(database, records, ALPHA, post=7)
        assert left(api) == [7]

    def test_where_all_are_off_redis_is_not_asked(
        self, api: Api, database: Engine, records: World, redis: RedisServer
    ) -> None:
        own(database, records, ALPHA, **{rate.name: -1 for rate in DEFAULT_RATES})
        before = redis.client.info("stats")["total_commands_processed"]
        assert api.get("limits").json()["limits"]["rate"] == []
        assert api.get("flavors/102").status_code == 200
        after = redis.client.info("stats")["total_commands_processed"]
        assert after - before <= 1  # the question itself


def test_without_redis_requests_are_served_and_limited(
    api: Api, rates: None, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a failed request: the process' own buckets decide."""
    away = Buckets("unix:///nonexistent")
    monkeypatch.setattr("api.limits.rates.buckets", lambda: away)
    assert len(listed(api)) == 5
    answer = until_refused(api, "PUT", "servers/1", {"server": {}})
    assert int(answer.headers["retry-after"]) >= 1
    assert api.get("flavors").status_code == 200
    runner.run(away.close())
