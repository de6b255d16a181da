"""os-floating-ips, os-floating-ip-pools and the floating actions (R223-R229, D40-D42, D80)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from tests.api.client import ZONE_2_BASE, Api, fault
from tests.api.groups import ADDRESSES, address, changed, execute, place
from tests.api.world import ALPHA, BETA, World

NAMESPACE = 'xmlns="http://docs.openstack.org/compute/api/v1.1"'
EMPTY: dict[str, Any] = {"floating_ips": []}


@pytest.fixture
def pool(api: Api, database: Engine) -> None:
    """Ten fixed addresses, and a pool of four public ones: 15.185.16.1-4."""
    execute(database, ADDRESSES)


@pytest.fixture
def server(api: Api, pool: None, records: World, database: Engine) -> dict[str, Any]:
    """A server with addresses 10.0.0.10 and 15.185.16.1 on host cmp1."""
    made = place(api, records, database, "web", "cmp1")
    address(database, made["id"])
    return made


def allocate(api: Api, body: Any = None, **options: Any) -> dict[str, Any]:
    answer = api.post("os-floating-ips", body, **options)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()["floating_ip"]
    return made


def act(api: Api, server: dict[str, Any], action: str, ip: object) -> httpx.Response:
    return api.post(f"servers/{server['id']}/action", {action: {"address": ip}})


def addresses(api: Api, server: dict[str, Any]) -> list[str]:
    shown = api.get(f"servers/{server['id']}").json()["server"]["addresses"]["private"]
    return [address["addr"] for address in shown]


def quota(database: Engine, limit: int) -> None:
    execute(
        database,
        "INSERT INTO quotas VALUES (:tenant, 1, 'floating_ips', :limit)",
        tenant=ALPHA,
        limit=limit,
    )


# -- allocate, show, release ----------------------------------------------------------------------


def test_r223_r224_r225_d1_d80_allocate_list_show(api: Api, pool: None) -> None:
    made = allocate(api)
    assert made == {
        "fixed_ip": None, "id": made["id"], "instance_id": None, "ip": "15.185.16.1",
        "pool": "public",
    }  # fmt: skip
    assert isinstance(made["id"], int)
    second = allocate(api)
    assert api.get("os-floating-ips").json() == {"floating_ips": [made, second]}
    assert api.get(f"os-floating-ips/{made['id']}").json() == {"floating_ip": made}
    assert api.get("os-floating-ips?limit=1").json() == {"floating_ips": [made]}
    assert api.get(f"os-floating-ips?marker={made['id']}").json() == {"floating_ips": [second]}


def test_r4_d30_xml(api: Api, server: dict[str, Any]) -> None:
    answer = api.xml("POST", "os-floating-ips")
    assert answer.status_code == 200, answer.text
    (made,) = api.get("os-floating-ips").json()["floating_ips"]

    def shown(members: str, namespace: str = "") -> str:
        return (
            f"<floating_ip{namespace}>{members}<id>{made['id']}</id><pool>public</pool>"
            "</floating_ip>"
        )

    nowhere = "<instance_id>None</instance_id><ip>15.185.16.2</ip><fixed_ip>None</fixed_ip>"
    assert answer.text.splitlines()[-1] == shown(nowhere, f" {NAMESPACE}")
    act(api, server, "addFloatingIp", made["ip"])
    there = (
        f"<instance_id>{server['id']}</instance_id><ip>15.185.16.2</ip>"
        "<fixed_ip>10.0.0.10</fixed_ip>"
    )
    listed = api.xml("GET", "os-floating-ips").text.splitlines()[-1]
    assert listed == f"<floating_ips {NAMESPACE}>{shown(there)}</floating_ips>"


@pytest.mark.parametrize(
    "request_",
    [
        {"content": b""},
        {"content": b"", "headers": {"Content-Type": "text/plain"}},
        {"content": b"", "headers": {"Content-Type": "application/json"}},
        {"content": b"", "headers": {"Content-Type": "application/xml"}},
        {"body": {}},
        {"body": {"pool": None}},
        {"body": {"pool": ""}},
        {"body": {"pool": "public"}},
        {"body": {"other": 1}},
        {"content": b"<pool>public</pool>", "headers": {"Content-Type": "application/xml"}},
        {"content": b"<pool/>", "headers": {"Content-Type": "application/xml"}},
    ],
)
def test_d26_d40_d80_bodies_of_allocation(api: Api, pool: None, request_: dict[str, Any]) -> None:
    answer = api.post("os-floating-ips", **request_)
    assert answer.status_code == 200, answer.text
    assert answer.json()["floating_ip"]["ip"] == "15.185.16.1"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"body": {"pool": "none"}}, (404, "The resource could not be found.")),
        ({"body": {"pool": "elsewhere"}}, (404, "The resource could not be found.")),
        ({"body": {"pool": 7}}, (400, "Malformed request body")),
        ({"body": []}, (400, "Malformed request body")),
        (
            {"content": b"{", "headers": {"Content-Type": "application/json"}},
            (400, "Malformed request body"),
        ),
        ({"content": b"{}"}, (415, "Unsupported Content-Type")),
    ],
)
def test_d26_d80_bodies_that_are_refused(
    api: Api, pool: None, database: Engine, request_: dict[str, Any], expected: tuple[int, str]
) -> None:
    execute(database, "INSERT INTO public_pools (zone_id, name) VALUES (2, 'elsewhere')")
    assert fault(api.post("os-floating-ips", **request_))[::2] == expected
    assert api.get("os-floating-ips").json() == EMPTY


def test_r62_d40_quota(api: Api, pool: None, database: Engine) -> None:
    quota(database, 2)
    first, _ = allocate(api), allocate(api)
    answer = api.post("os-floating-ips")
    assert fault(answer) == (
        413, "overLimit", "Address quota exceeded. You cannot allocate any more addresses",
    )  # fmt: skip
    assert answer.headers["retry-after"] == "0"  # D12
    assert len(api.get("os-floating-ips").json()["floating_ips"]) == 2
    api.delete(f"os-floating-ips/{first['id']}")
    assert allocate(api)["ip"] == "15.185.16.3"


def test_d40_exhaustion(api: Api, pool: None) -> None:
    for _ in range(4):
        allocate(api)
    text = "No more floating ips available."
    assert fault(api.post("os-floating-ips")) == (400, "badRequest", text)
    answer = api.post("os-floating-ips", {"pool": "public"})
    assert fault(answer) == (400, "badRequest", "No more floating ips in pool public.")


def test_a_zone_without_pools_has_none(api: Api, pool: None) -> None:
    text = "No more floating ips available."
    assert fault(api.post("os-floating-ips", base=ZONE_2_BASE)) == (400, "badRequest", text)


def test_d80_pools(api: Api, pool: None, database: Engine) -> None:
    execute(
        database,
        "INSERT INTO public_pools (zone_id, name) VALUES (1, 'b'), (1, 'A'), (2, 'elsewhere');"
        "INSERT INTO public_addresses (pool_id, address) VALUES (2, '15.185.17.1')",
    )
    assert api.get("os-floating-ip-pools").json() == {
        "floating_ip_pools": [{"name": "A"}, {"name": "b"}, {"name": "public"}]
    }
    assert api.xml("GET", "os-floating-ip-pools").text.splitlines()[-1] == (
        f'<floating_ip_pools {NAMESPACE}><floating_ip_pool name="A"/><floating_ip_pool name="b"/>'
        '<floating_ip_pool name="public"/></floating_ip_pools>'
    )
    made = allocate(api, {"pool": "b"})
    assert (made["ip"], made["pool"]) == ("15.185.17.1", "b")
    answer = api.post("os-floating-ips", {"pool": "b"})
    assert fault(answer) == (400, "badRequest", "No more floating ips in pool b.")


def test_r225_d42_release_of_a_free_address(api: Api, pool: None, database: Engine) -> None:
    made = allocate(api)
    path = f"os-floating-ips/{made['id']}"
    gone = api.delete(path)
    assert (gone.status_code, gone.content) == (202, b"")
    assert fault(api.get(path)) == fault(api.delete(path))
    assert fault(api.get(path)) == (404, "itemNotFound", "The resource could not be found.")
    assert api.looked == []
    assert allocate(api)["ip"] == "15.185.16.2"  # the first one rests
    execute(database, "UPDATE public_addresses SET released_at = '2012-01-01Z' WHERE id = 1")
    assert [allocate(api)["ip"] for _ in range(3)][-1] == "15.185.16.1"  # longest unused last


@pytest.mark.parametrize("floating_id", ["999", "x", "-1", "9" * 30, "15.185.16.1"])
def test_r225_unknown_ids(api: Api, pool: None, floating_id: str) -> None:
    for method in ("GET", "DELETE"):
        answer = api(method, f"os-floating-ips/{floating_id}")
        assert fault(answer) == (404, "itemNotFound", "The resource could not be found.")


def test_r11_r16_another_tenant_s_and_another_zone_s_addresses(
    api: Api, server: dict[str, Any]
) -> None:
    hers = allocate(api, token="eve", tenant=BETA)
    assert api.get("os-floating-ips").json() == EMPTY
    for method in ("GET", "DELETE"):
        assert api(method, f"os-floating-ips/{hers['id']}").status_code == 404
    mine = allocate(api)
    assert api.get("os-floating-ips", base=ZONE_2_BASE).json() == EMPTY
    assert api.get(f"os-floating-ips/{mine['id']}", base=ZONE_2_BASE).status_code == 404
    listed = api.get("os-floating-ips", token="eve", tenant=BETA).json()
    assert listed == {"floating_ips": [hers]}
    assert api.get("os-floating-ip-pools", base=ZONE_2_BASE).json() == {"floating_ip_pools": []}


# -- on servers -----------------------------------------------------------------------------------


def test_r226_r228_r229_d41_add_to_a_server(api: Api, server: dict[str, Any]) -> None:
    first, second = allocate(api), allocate(api)
    added = act(api, server, "addFloatingIp", f" {second['ip']} ")
    assert (added.status_code, added.content) == (202, b"")
    assert act(api, server, "addFloatingIp", first["ip"]).status_code == 202
    assert addresses(api, server) == [
        "10.0.0.10", "15.185.16.1", second["ip"], first["ip"],  # by time of association
    ]  # fmt: skip
    assert changed(api, server["id"])  # R117
    assert api.looked == ["cmp1", "cmp1"]
    shown = api.get(f"os-floating-ips/{first['id']}").json()["floating_ip"]
    assert (shown["instance_id"], shown["fixed_ip"]) == (server["id"], "10.0.0.10")  # D42


def test_r227_remove_from_a_server(api: Api, server: dict[str, Any]) -> None:
    made = allocate(api)
    act(api, server, "addFloatingIp", made["ip"])
    api.nudged.clear()
    gone = act(api, server, "removeFloatingIp", made["ip"])
    assert (gone.status_code, gone.content) == (202, b"")
    assert addresses(api, server) == ["10.0.0.10", "15.185.16.1"]
    assert api.looked == ["cmp1"]
    assert api.get("os-floating-ips").json() == {"floating_ips": [made]}  # still the tenant's
    assert fault(act(api, server, "removeFloatingIp", made["ip"])) == (
        400, "badRequest", "Floating ip is not associated",
    )  # fmt: skip


def test_r4_actions_in_xml(api: Api, server: dict[str, Any]) -> None:
    made = allocate(api)
    path = f"servers/{server['uuid']}/action"
    for action, count in (("addFloatingIp", 3), ("removeFloatingIp", 2)):
        sent = (
            f"<?xml version='1.0' ?><{action} {NAMESPACE}><address>\n  {made['ip']}\n </address>"
            f"</{action}>"
        )
        answer = api.xml("POST", path, sent)
        assert (answer.status_code, answer.content) == (202, b""), answer.text
        assert len(addresses(api, server)) == count


def test_d40_moved_from_another_server(
    api: Api, server: dict[str, Any], records: World, database: Engine
) -> None:
    other = place(api, records, database, "other", "cmp2")
    address(database, other["id"])
    made = allocate(api)
    act(api, other, "addFloatingIp", made["ip"])
    execute(database, "UPDATE servers SET updated_at = '2012-01-01Z'")
    api.nudged.clear()
    assert act(api, server, "addFloatingIp", made["ip"]).status_code == 202
    assert api.looked == ["cmp1", "cmp2"]
    assert made["ip"] in addresses(api, server)
    assert made["ip"] not in addresses(api, other)
    assert changed(api, server["id"])
    assert changed(api, other["id"])


def test_d40_already_there_changes_nothing(
    api: Api, server: dict[str, Any], database: Engine
) -> None:
    first, second = allocate(api), allocate(api)
    for made in (first, second):
        act(api, server, "addFloatingIp", made["ip"])
    before = addresses(api, server)
    execute(database, "UPDATE servers SET updated_at = '2012-01-01Z'")
    api.nudged.clear()
    assert act(api, server, "addFloatingIp", first["ip"]).status_code == 202
    assert addresses(api, server) == before
    assert api.looked == []
    assert not changed(api, server["id"])


def test_d41_the_automatic_address_stays(api: Api, server: dict[str, Any]) -> None:
    assert fault(act(api, server, "removeFloatingIp", "15.185.16.1")) == (
        400, "badRequest", "Floating ip is not associated",
    )  # fmt: skip
    assert fault(act(api, server, "addFloatingIp", "15.185.16.1")) == (
        400, "badRequest", "Address (15.185.16.1) is not allocated to your project",
    )  # fmt: skip
    assert addresses(api, server) == ["10.0.0.10", "15.185.16.1"]


def test_d40_an_address_that_is_not_the_tenant_s(api: Api, server: dict[str, Any]) -> None:
    hers = allocate(api, token="eve", tenant=BETA)["ip"]
    for ip in (hers, "15.185.16.4"):  # another tenant's, nobody's
        assert fault(act(api, server, "addFloatingIp", ip)) == (
            400, "badRequest", f"Address ({ip}) is not allocated to your project",
        )  # fmt: skip
        assert fault(act(api, server, "removeFloatingIp", ip)) == (
            400, "badRequest", "Floating ip is not associated",
        )  # fmt: skip


def test_d40_no_fixed_address_yet(api: Api, server: dict[str, Any], records: World) -> None:
    fresh = api.create("fresh", records.images["public"]).json()["server"]
    made = allocate(api)
    assert fault(act(api, fresh, "addFloatingIp", made["ip"])) == (
        400, "badRequest", "No fixed ips associated to instance",
    )  # fmt: skip


@pytest.mark.parametrize("action", ["addFloatingIp", "removeFloatingIp"])
@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        (None, 400, "Missing parameter dict"),
        ("15.185.16.2", 400, "Missing parameter dict"),
        (["15.185.16.2"], 400, "Missing parameter dict"),
        ({}, 400, "Address not specified"),
        ({"address": None}, 400, "Address not specified"),
        ({"address": " "}, 400, "Address not specified"),
        ({"address": 7}, 400, "Address not specified"),
        ({"address": "15.185.99.1"}, 404, "The resource could not be found."),
        ({"address": "10.0.0.10"}, 404, "The resource could not be found."),
        ({"address": "somewhere"}, 404, "The resource could not be found."),
        ({"address": "15.185.16.2/32"}, 404, "The resource could not be found."),
        ({"address": "::1"}, 404, "The resource could not be found."),
    ],
)
def test_d40_addresses_of_actions(
    api: Api, server: dict[str, Any], action: str, value: object, code: int, message: str
) -> None:
    allocate(api)
    answer = api.post(f"servers/{server['id']}/action", {action: value})
    assert fault(answer)[::2] == (code, message)
    assert (len(addresses(api, server)), api.looked) == (2, [])


@pytest.mark.parametrize("action", ["addFloatingIp", "removeFloatingIp"])
def test_d60_not_while_deleting(
    api: Api, server: dict[str, Any], database: Engine, action: str
) -> None:
    made = allocate(api)
    if action == "removeFloatingIp":
        act(api, server, "addFloatingIp", made["ip"])
    before = addresses(api, server)
    execute(database, "UPDATE servers SET task_state = 'deleting'")
    assert fault(act(api, server, action, made["ip"])) == (
        409, "inProgress", f"Cannot '{action}' while instance is in task_state deleting",
    )  # fmt: skip
    assert addresses(api, server) == before


def test_d42_release_takes_it_off_its_server(
    api: Api, server: dict[str, Any], database: Engine
) -> None:
    made = allocate(api)
    act(api, server, "addFloatingIp", made["ip"])
    execute(database, "UPDATE servers SET updated_at = '2012-01-01Z'")
    api.nudged.clear()
    assert api.delete(f"os-floating-ips/{made['id']}").status_code == 202
    assert addresses(api, server) == ["10.0.0.10", "15.185.16.1"]
    assert api.looked == ["cmp1"]
    assert changed(api, server["id"])


def test_r146_a_deleted_server_leaves_its_floating_addresses(
    api: Api, server: dict[str, Any], database: Engine
) -> None:
    from db.queries import progress

    made = allocate(api)
    act(api, server, "addFloatingIp", made["ip"])
    api.delete(f"servers/{server['id']}")
    with database.begin() as conn:
        progress.release_all(conn, server["id"])
    assert api.get("os-floating-ips").json() == {"floating_ips": [made]}
    assert allocate(api)["ip"] == "15.185.16.3"  # the automatic one rests
