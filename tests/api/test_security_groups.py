"""os-security-groups, and the groups of servers (R237-R244, R253, R254, D14, D48, D66, D78)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from tests.api.client import ZONE_2_BASE, Api, fault
from tests.api.groups import add_rule, changed, execute, from_group, group, place
from tests.api.world import ALPHA, BETA, ZONE_1, World

NAMESPACE = 'xmlns="http://docs.openstack.org/compute/api/v1.1"'


def names(api: Api, path: str = "os-security-groups") -> list[str]:
    return [found["name"] for found in api.get(path).json()["security_groups"]]


def test_r240_r242_d1_create_and_show(api: Api) -> None:
    body = {"security_group": {"name": " web ", "description": " Web servers ", "x": 1}}
    made = api.post("os-security-groups", body)
    assert made.status_code == 200
    found = made.json()["security_group"]
    assert found == {
        "description": "Web servers", "id": found["id"], "name": "web", "rules": [],
        "tenant_id": ALPHA,
    }  # fmt: skip
    assert isinstance(found["id"], int)
    assert api.get(f"os-security-groups/{found['id']}").json() == made.json()


def test_r240_xml(api: Api) -> None:
    sent = """<?xml version="1.0" ?>
        <security_group name="web">
            <description>
                Web servers
            </description>
        </security_group>"""
    made = api.xml("POST", "os-security-groups", sent)
    assert made.status_code == 200, made.text
    (_, web) = api.get("os-security-groups").json()["security_groups"]
    text = (
        f'<security_group {NAMESPACE} id="{web["id"]}" name="web" tenant_id="{ALPHA}"><rules/>'
        "<description>Web servers</description></security_group>"
    )
    assert made.text.splitlines()[-1] == text


def test_r241_d30_list_in_both_forms(api: Api, records: World) -> None:
    default, web = records.groups[ALPHA, ZONE_1], group(api)
    ids = [add_rule(api, web, to_port="23").json()["security_group_rule"]["id"]]
    ids += [from_group(api, web, default).json()["security_group_rule"]["id"]]
    (first, second) = api.get("os-security-groups").json()["security_groups"]
    assert (first["name"], first["rules"]) == ("default", [])
    assert second["rules"] == [
        {
            "from_port": 22, "group": {}, "id": ids[0], "ip_protocol": "tcp",
            "ip_range": {"cidr": "0.0.0.0/0"}, "parent_group_id": web, "to_port": 23,
        },
        {
            "from_port": None, "group": {"name": "default", "tenant_id": ALPHA}, "id": ids[1],
            "ip_protocol": None, "ip_range": {}, "parent_group_id": web, "to_port": None,
        },
    ]  # fmt: skip
    assert api.xml("GET", "os-security-groups").text.splitlines()[-1] == (
        f'<security_groups {NAMESPACE}>'
        f'<security_group id="{default}" name="default" tenant_id="{ALPHA}"><rules/>'
        '<description/></security_group>'
        f'<security_group id="{web}" name="web" tenant_id="{ALPHA}"><rules>'
        f'<rule id="{ids[0]}" parent_group_id="{web}"><from_port>22</from_port><group/>'
        '<ip_protocol>tcp</ip_protocol><to_port>23</to_port>'
        '<ip_range><cidr>0.0.0.0/0</cidr></ip_range></rule>'
        f'<rule id="{ids[1]}" parent_group_id="{web}"><from_port>None</from_port>'
        f'<group><tenant_id>{ALPHA}</tenant_id><name>default</name></group>'
        '<ip_protocol>None</ip_protocol><to_port>None</to_port><ip_range/></rule>'
        '</rules><description>web servers</description></security_group></security_groups>'
    )  # fmt: skip


def test_d68_d83_r41_order_name_and_pages(api: Api) -> None:
    for name in ("zebra", "Ant"):
        group(api, name)
    assert names(api) == ["Ant", "default", "zebra"]
    assert names(api, "os-security-groups?name=") == ["Ant", "default", "zebra"]
    assert names(api, "os-security-groups?name=zebra") == ["zebra"]
    assert names(api, "os-security-groups?name=none") == []
    first = api.get("os-security-groups?limit=1").json()["security_groups"][0]
    assert names(api, f"os-security-groups?limit=1&marker={first['id']}") == ["default"]
    assert fault(api.get("os-security-groups?marker=x")) == (
        400, "badRequest", "marker [x] not found",
    )  # fmt: skip


@pytest.mark.parametrize("what", ["name", "description"])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "is not a string or unicode"),
        (7, "is not a string or unicode"),
        (["web"], "is not a string or unicode"),
        ("", "cannot be empty."),
        (" \n", "cannot be empty."),
        ("x" * 256, "should not be greater than 255 characters."),
    ],
)
def test_r240_bad_names_and_descriptions(api: Api, what: str, value: object, text: str) -> None:
    body = {"security_group": {"name": "web", "description": "Web", what: value}}
    expected = (400, "badRequest", f"Security group {what} {text}")
    assert fault(api.post("os-security-groups", body)) == expected
    assert names(api) == ["default"]


def test_r240_missing_members_in_both_forms(api: Api) -> None:
    answer = api.post("os-security-groups", {"security_group": {"name": "web"}})
    text = "Security group description is not a string or unicode"
    assert fault(answer) == (400, "badRequest", text)
    answer = api.xml("POST", "os-security-groups", '<security_group name=" "/>')
    assert fault(answer) == (400, "badRequest", "Security group name cannot be empty.")
    answer = api.xml("POST", "os-security-groups", "<group/>")
    assert fault(answer) == (400, "badRequest", "Malformed request body")


@pytest.mark.parametrize("name", ["web", "default", " web "])
def test_a_name_is_given_once(api: Api, name: str) -> None:
    group(api)
    answer = api.post("os-security-groups", {"security_group": {"name": name, "description": "x"}})
    text = f"Security group {name.strip()} already exists"
    assert fault(answer) == (400, "badRequest", text)


def test_r65_d51_quota(api: Api) -> None:
    ids = [group(api, f"group {number}") for number in range(9)]  # and default
    body = {"security_group": {"name": "eleventh", "description": "x"}}
    answer = api.post("os-security-groups", body)
    assert fault(answer) == (413, "overLimit", "Quota exceeded, too many security groups.")
    assert answer.headers["retry-after"] == "0"  # D12
    again = api.post(
        "os-security-groups", {"security_group": {"name": "group 1", "description": "x"}}
    )
    assert fault(again)[2] == "Security group group 1 already exists"
    assert len(names(api)) == 10
    api.delete(f"os-security-groups/{ids[0]}")
    assert api.post("os-security-groups", body).status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("group_id", "expected"),
    [
        ("web", (400, "badRequest", "Security group id should be integer")),
        ("1.5", (400, "badRequest", "Security group id should be integer")),
        ("0x1", (400, "badRequest", "Security group id should be integer")),
        ("999", (404, "itemNotFound", "Security group 999 not found.")),
        ("-1", (404, "itemNotFound", "Security group -1 not found.")),
        ("9" * 30, (404, "itemNotFound", f"Security group {'9' * 30} not found.")),
    ],
)
def test_d66_ids_in_paths(
    api: Api, method: str, group_id: str, expected: tuple[int, str, str]
) -> None:
    assert fault(api(method, f"os-security-groups/{group_id}")) == expected
    assert fault(api.xml(method, f"os-security-groups/{group_id}")) == expected


def test_r11_r16_another_tenant_s_and_another_zone_s_groups(api: Api, records: World) -> None:
    hers = group(api, "hers", token="eve", tenant=BETA)
    there = group(api, "there", base=ZONE_2_BASE)
    assert names(api) == ["default"]
    for group_id in (hers, there):
        for method in ("GET", "DELETE"):
            assert fault(api(method, f"os-security-groups/{group_id}")) == (
                404, "itemNotFound", f"Security group {group_id} not found.",
            )  # fmt: skip
        text = f"Security group ({group_id}) not found"
        assert fault(add_rule(api, group_id)) == (404, "itemNotFound", text)
        mine = records.groups[ALPHA, ZONE_1]
        assert fault(from_group(api, mine, group_id)) == (400, "badRequest", text)
    listed = api.get("os-security-groups", token="eve", tenant=BETA).json()["security_groups"]
    assert [found["name"] for found in listed] == ["default", "hers"]
    group(api, "hers")  # names are a tenant's


def test_r243_r244_d14_a_deleted_group_is_off_all_servers_and_rules(
    api: Api, records: World, database: Engine
) -> None:
    web, db = group(api, "web"), group(api, "db")
    from_group(api, db, web)
    kept = add_rule(api, db).json()["security_group_rule"]["id"]
    member = place(api, records, database, "a", "cmp1", "web", "default")
    sourced = place(api, records, database, "b", "cmp2", "db")
    other = place(api, records, database, "c", "cmp3")
    gone = api.delete(f"os-security-groups/{web}")
    assert (gone.status_code, gone.content) == (202, b"")
    assert api.looked == ["cmp1", "cmp2"]  # and no others
    assert fault(api.get(f"os-security-groups/{web}"))[0] == 404
    rules = api.get(f"os-security-groups/{db}").json()["security_group"]["rules"]
    assert [rule["id"] for rule in rules] == [kept]
    assert names(api, f"servers/{member['id']}/os-security-groups") == ["default"]
    touched = [changed(api, server["id"]) for server in (member, sourced, other)]
    assert touched == [True, False, False]
    assert group(api, "web") != web  # a name may be reused, an id is not


def test_d14_the_group_default_stays(api: Api, records: World) -> None:
    path = f"os-security-groups/{records.groups[ALPHA, ZONE_1]}"
    text = "Unable to delete system group 'default'"
    assert fault(api.delete(path)) == (400, "badRequest", text)
    assert api.get(path).status_code == 200


def test_d78_groups_of_a_server(api: Api, records: World, database: Engine) -> None:
    web = group(api)
    add_rule(api, web)
    server = place(api, records, database, "a", "cmp1", "web", "default")
    whole = api.get("os-security-groups").json()
    for name in (server["id"], server["uuid"], server["uuid"].upper()):
        path = f"servers/{name}/os-security-groups"
        assert api.get(path).json() == whole
    assert api.xml("GET", path).text == api.xml("GET", "os-security-groups").text
    execute(database, "DELETE FROM server_security_groups")
    assert api.get(path).json() == {"security_groups": []}
    for name in ("999", "a", "00000000-0000-0000-0000-000000000000"):
        assert fault(api.get(f"servers/{name}/os-security-groups")) == (
            404, "itemNotFound", "The resource could not be found.",
        )  # fmt: skip


@pytest.mark.parametrize("path", ["os-security-groups", "servers/1/os-security-groups"])
def test_lists_are_one_query_beside_the_token(
    api: Api, records: World, database: Engine, path: str
) -> None:
    from sqlalchemy import event

    from db.engine import async_engine

    place(api, records, database, "a", "cmp1")
    for name in ("a", "b", "c"):
        add_rule(api, group(api, name))
    seen: list[str] = []

    def note(*args: Any) -> None:
        seen.append(args[2])

    engine = async_engine().sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        assert api.get(path).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(seen) == 2
