"""Paths, formats, bodies, headers: what all operations share."""

from __future__ import annotations

import json

import pytest

from api.wire.call import Format
from api.wire.negotiation import accepted, split_suffix
from tests.api.client import Api, fault
from tests.api.world import ALPHA, BASE, HOST, World

JSON = "application/json; charset=UTF-8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Format.JSON),
        ("*/*", Format.JSON),
        ("application/octet-stream", Format.JSON),
        ("application/xml", Format.XML),
        ("application/xml;q=0.5, application/json;q=0.9", Format.JSON),
        ("application/json;q=0.1,application/xml; q=0.2", Format.XML),
        ("application/xml;q=0", Format.JSON),
        ("application/xml;q=rubbish", Format.JSON),
        ("text/html,application/vnd.openstack.compute-v1.1+xml", Format.XML),
        ("application/vnd.openstack.compute-v1.1+json", Format.JSON),
        ("application/xml;q=0.5, */*", Format.JSON),
        ("application/*, application/xml;q=0.2", Format.JSON),
        ("*/*, application/xml", Format.XML),
        ("text/html, application/xml;q=0.9, */*;q=0.8", Format.XML),
        ("application/json;q=0, */*", Format.XML),
        ("application/json;q=0", Format.JSON),
    ],
)
def test_d27_d82_accept(accept: str, form: Format) -> None:
    assert accepted(accept) is form


@pytest.mark.parametrize(
    ("segment", "split"),
    [
        ("servers.json", ("servers", ".json", Format.JSON)),
        ("servers.xml", ("servers", ".xml", Format.XML)),
        ("key.pub", ("key.pub", "", None)),
        ("servers.JSON", ("servers.JSON", "", None)),
        (".json", (".json", "", None)),
        ("a.json.xml", ("a.json", ".xml", Format.XML)),
    ],
)
def test_d24_suffix(segment: str, split: tuple[str, str, Format | None]) -> None:
    assert split_suffix(segment) == split


@pytest.mark.parametrize(
    "path",
    [
        "/v1.1/{}/flavors",
        "/v1.1/{}/flavors/",
        "/v1.1/{}/flavors.json",
        "/v1.1/{}//flavors",
        "//v1.1//{}///flavors//",
        "/v2/{}/flavors",
        "/v1.1/{}/flavors?limit=&x",
        "/v1.1/{}/flavors?y",
    ],
)
def test_d23_d77_r23_spellings_of_a_path(api: Api, path: str) -> None:
    answer = api.get(path.format(ALPHA))
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["flavors"]) == 4


@pytest.mark.parametrize("accept", ["application/xml", "text/html", "*/*", ""])
def test_d82_any_accept_is_answered(api: Api, accept: str) -> None:
    assert api.get("flavors", headers={"Accept": accept}).status_code == 200


def test_d24_a_name_that_ends_in_a_suffix_wins(api: Api) -> None:
    api.add_key("a")
    assert api.get("os-keypairs/a.json").json()["keypair"]["name"] == "a"
    api.add_key("a.json")
    assert api.get("os-keypairs/a.json").json()["keypair"]["name"] == "a.json"
    assert api.get("os-keypairs/a%2Ejson").json()["keypair"]["name"] == "a.json"
    assert api.get("os-keypairs/a.json.json").json()["keypair"]["name"] == "a.json"
    assert api.get("os-keypairs/a").json()["keypair"]["name"] == "a"


def test_d24_a_suffix_that_is_part_of_the_name_is_no_form(api: Api, records: World) -> None:
    """novaclient asks so for a keypair of that name, and reads JSON only."""
    xml, json_ = {"Accept": "application/xml"}, {"Accept": "application/json"}
    api.add_key("a.xml")
    api.add_key("b")
    server = api.create("web", records.images["public"], metadata={"c.xml": "1", "d": "2"})
    items = f"servers/{server.json()['server']['id']}/metadata"
    for of_the_name, of_the_form in (
        ("os-keypairs/a.xml", "os-keypairs/b.xml"),
        (f"{items}/c.xml", f"{items}/d.xml"),
    ):
        assert api.get(of_the_name, headers=json_).headers["content-type"] == JSON
        assert api.get(of_the_name, headers=xml).headers["content-type"] != JSON
        assert api.get(of_the_form, headers=json_).headers["content-type"] != JSON
    assert api.get("os-keypairs/a.xml.xml", headers=json_).headers["content-type"] != JSON
    assert api.put(f"{items}/c.xml", {"meta": {"c.xml": "3"}}).json() == {"meta": {"c.xml": "3"}}


def test_d76_links_keep_the_prefix_of_the_request(api: Api, records: World) -> None:
    image = records.images["public"]
    v1 = api.get(f"/v1.1/{ALPHA}/images/{image}").json()["image"]["links"]
    v2 = api.get(f"/v2/{ALPHA}/images/{image}").json()["image"]["links"]
    assert [link["href"] for link in v1] == [
        f"{BASE}/v1.1/{ALPHA}/images/{image}",
        f"{BASE}/{ALPHA}/images/{image}",
    ]
    assert [link["href"] for link in v2] == [
        f"{BASE}/v2/{ALPHA}/images/{image}",
        f"{BASE}/{ALPHA}/images/{image}",
    ]


def test_d34_a_host_header_that_is_no_host_is_not_repeated(api: Api, records: World) -> None:
    path = f"/v1.1/{ALPHA}/flavors/100"
    answer = api.get(path, headers={"Host": "evil'><script>"})
    assert answer.json()["flavor"]["links"][0]["href"] == f"{BASE}{path}"


@pytest.mark.parametrize(
    "path",
    ["/v1.0", "/v3/1/servers", "/nothing", f"/v1.1/{ALPHA}/os-networks", f"/v1.1/{ALPHA}",
     f"/v1.1/{ALPHA}/servers/1/nothing", "/internal/health", f"/v1.1/{ALPHA}/servers%00",
     f"/v1.1/{ALPHA}/os-availability-zone", f"/v1.1/{ALPHA}/flavors/100/os-extra_specs"],
)  # fmt: skip
def test_r90_d25_d81_unknown_paths(api: Api, path: str) -> None:
    assert fault(api.get(path)) == (404, "itemNotFound", "The resource could not be found.")


def test_r89_d25_another_method_is_405_with_all_that_are_allowed(api: Api) -> None:
    answer = api("PATCH", "servers")
    assert fault(answer) == (
        405, "badMethod", "The method PATCH is not allowed for this resource.",
    )  # fmt: skip
    assert answer.headers["allow"] == "GET, HEAD, POST"
    answer = api("OPTIONS", "servers/1")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PUT"
    assert api.post("images", {}).status_code == 405
    assert api.get("/v2.0/tokens", token=None).status_code == 405


@pytest.mark.parametrize("path", ["servers/detail", "images/detail", "flavors/detail"])
def test_r89_d25_detail_is_a_list_and_no_item(api: Api, path: str) -> None:
    for method in ("PUT", "DELETE", "POST", "PATCH"):
        answer = api(method, path, {"server": {"name": "web"}})
        assert fault(answer)[:2] == (405, "badMethod")
        assert answer.headers["allow"] == "GET, HEAD"


def test_d25_head_is_get_without_a_body(api: Api) -> None:
    head, get = api("HEAD", "flavors"), api.get("flavors")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    assert head.headers["content-type"] == JSON


def test_r37_a_body_of_get_and_delete_is_ignored(api: Api) -> None:
    rubbish = {"content": b"<<<", "headers": {"Content-Type": "text/plain"}}
    assert api.get("flavors", **rubbish).status_code == 200
    api.add_key("k")
    assert api.delete("os-keypairs/k", **rubbish).status_code == 202


MALFORMED = (400, "badRequest", "Malformed request body")
UNSUPPORTED = (415, "badMediaType", "Unsupported Content-Type")
TOO_LARGE = (413, "overLimit", "The body of your request was too large for this server.")


@pytest.mark.parametrize(
    ("content_type", "content", "expected"),
    [
        ("text/plain", b"{}", UNSUPPORTED),
        ("", b"{}", UNSUPPORTED),
        ("application/json; charset=latin-1", b"{}", UNSUPPORTED),
        ("application/json", b"", MALFORMED),
        ("application/json", b"{", MALFORMED),
        ("application/json", b"[]", MALFORMED),
        ("application/json", b"null", MALFORMED),
        ("application/json", b'{"other": {}}', MALFORMED),
        ("application/json", b'{"keypair": []}', MALFORMED),
        ("application/json", b'{"keypair": {"name": "\xff"}}', MALFORMED),
        ("application/json", b'{"keypair": {"name": "a\\u0000"}}', MALFORMED),
        ("application/json", b"[" * 100_000, MALFORMED),
        ("application/json", b" " * (1 << 20) + b"{}", TOO_LARGE),
    ],
)
def test_r20_d26_bodies(
    api: Api, content_type: str, content: bytes, expected: tuple[int, str, str]
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert fault(api.post("os-keypairs", content=content, headers=headers)) == expected


def test_d83_content_type_with_charset_and_unknown_headers(api: Api) -> None:
    content = json.dumps({"keypair": {"name": "k"}}).encode()
    headers = {"Content-Type": "Application/JSON; charset=utf-8", "X-Auth-Project-Id": "alpha"}
    answer = api.post("os-keypairs?ignore_awful_caching1353", content=content, headers=headers)
    assert answer.status_code == 200, answer.text


def test_r80_r84_faults_come_in_the_form_that_was_asked_for(api: Api) -> None:
    for path, accept in (("servers/1.xml", "application/json"), ("servers/1", "application/xml")):
        answer = api.get(path, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/xml; charset=UTF-8"
        assert fault(answer)[:2] == (404, "itemNotFound")


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("-1", "limit param must be positive"),
        ("x", "limit param must be an integer"),
        ("1.5", "limit param must be an integer"),
        ("1_0", "limit param must be an integer"),
    ],
)
@pytest.mark.parametrize(
    "path",
    ["servers", "servers/detail", "images", "flavors", "os-keypairs", "os-security-groups",
     "os-floating-ips"],
)  # fmt: skip
def test_r46_d10_bad_limits(api: Api, path: str, limit: str, message: str) -> None:
    assert fault(api.get(f"{path}?limit={limit}")) == (400, "badRequest", message)


@pytest.mark.parametrize("limit", ["0", "", "1001", "99999999999999999999999"])
@pytest.mark.parametrize("path", ["servers", "images", "flavors"])
def test_r45_d10_limits_that_act_as_1000(api: Api, path: str, limit: str) -> None:
    assert api.get(f"{path}?limit={limit}").status_code == 200


@pytest.mark.parametrize(
    "marker", ["x", "99", "-1", "9" * 30, "00000000-0000-0000-0000-000000000000"]
)
@pytest.mark.parametrize(
    "path",
    ["servers", "servers/detail", "images", "images/detail", "flavors", "os-security-groups",
     "os-floating-ips"],
)  # fmt: skip
def test_r42_d11_lost_markers(api: Api, path: str, marker: str) -> None:
    answer = api.get(f"{path}?marker={marker}")
    assert fault(answer) == (400, "badRequest", f"marker [{marker}] not found")


def test_r87_r86_a_defect_shows_no_internals(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("SELECT secret FROM internals")

    monkeypatch.setattr("db.queries.flavors.list_all", broken)
    answer = api.get("flavors")
    status, root, message = fault(answer)
    assert (status, root) == (500, "cloudServersFault")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["x-compute-request-id"] in answer.text
    assert message.startswith("The server has either erred")


def test_r88_postgres_away_is_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    gone = create_async_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    monkeypatch.setattr("api.database.async_engine", lambda: gone)
    assert fault(api.get("flavors")) == (
        503, "serviceUnavailable",
        "The server is currently unavailable. Please try again at a later time.",
    )  # fmt: skip


def test_docs_are_there(api: Api) -> None:
    assert api.get("/docs", token=None).status_code == 200
    assert "/v1.1/{tenant_id}/servers" in api.get("/openapi.json", token=None).json()["paths"]
    assert HOST in BASE
