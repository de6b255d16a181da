"""os-security-group-rules (R245-R252, D7, D30, D47, D51, D85)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from tests.api.client import Api, fault
from tests.api.groups import add_rule, changed, from_group, group, place
from tests.api.world import ALPHA, BASE, World

INCOMPLETE = "Not enough parameters to build a valid rule."
ONE_SOURCE = "Exactly one of cidr and group_id must be specified."
ORDER = "Former value cannot be greater than the later"
PORTS = "Both must be between 1 and 65535."
TYPES = "Both must be between -1 and 255."
NO_PORTS = {"from_port": None, "to_port": None}


@pytest.fixture
def web(api: Api) -> int:
    return group(api)


def rules(api: Api, group_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"os-security-groups/{group_id}").json()[
        "security_group"
    ]["rules"]
    return found


def test_r245_r248_create(api: Api, web: int) -> None:
    answer = add_rule(api, str(web), from_port="80", to_port=" 8080 ")
    assert answer.status_code == 200, answer.text
    made = answer.json()["security_group_rule"]
    assert made == {
        "from_port": 80, "group": {}, "id": made["id"], "ip_protocol": "tcp",
        "ip_range": {"cidr": "0.0.0.0/0"}, "parent_group_id": web, "to_port": 8080,
    }  # fmt: skip
    assert isinstance(made["id"], int)
    assert rules(api, web) == [made]


def test_d1_a_group_may_be_a_uri(api: Api, web: int) -> None:
    uri = f"{BASE}/v1.1/{ALPHA}/os-security-groups/{web}"
    made = add_rule(api, uri, cidr=None, group_id=uri).json()["security_group_rule"]
    assert made["parent_group_id"] == web
    assert made["group"] == {"name": "web", "tenant_id": ALPHA}  # D47e: its own source


def test_r4_d3_xml(api: Api, web: int) -> None:
    sent = f"""<?xml version="1.0" ?>
        <security_group_rule xmlns="http://docs.openstack.org/compute/api/v1.1">
            <parent_group_id>{web}</parent_group_id>
            <from_port>80</from_port>
            <ip_protocol>
                TCP
            </ip_protocol>
            <to_port>8080</to_port>
            <cidr>10.1.2.3/8</cidr>
            <group_id>None</group_id>
        </security_group_rule>"""
    answer = api.xml("POST", "os-security-group-rules", sent)
    assert answer.status_code == 200, answer.text
    (rule,) = rules(api, web)
    assert answer.text.splitlines()[-1] == (
        '<security_group_rule xmlns="http://docs.openstack.org/compute/api/v1.1"'
        f' id="{rule["id"]}" parent_group_id="{web}"><from_port>80</from_port><group/>'
        "<ip_protocol>tcp</ip_protocol><to_port>8080</to_port>"
        "<ip_range><cidr>10.0.0.0/8</cidr></ip_range></security_group_rule>"
    )


def test_d30_none_and_nothing_in_xml_are_absent(api: Api, web: int) -> None:
    sent = (
        f"<security_group_rule><parent_group_id>{web}</parent_group_id><from_port>None</from_port>"
        f"<to_port/><ip_protocol>None</ip_protocol><cidr/><group_id>{web}</group_id>"
        "</security_group_rule>"
    )
    assert api.xml("POST", "os-security-group-rules", sent).status_code == 200
    (rule,) = rules(api, web)
    assert (rule["ip_protocol"], rule["from_port"], rule["to_port"]) == (None, None, None)


@pytest.mark.parametrize(
    ("members", "stored"),
    [
        # R249, D7: type and code of icmp
        ({"ip_protocol": "ICMP", "from_port": -1, "to_port": "-1"}, ("icmp", -1, -1)),
        ({"ip_protocol": "icmp", "from_port": 8, "to_port": 0}, ("icmp", 8, 0)),
        ({"ip_protocol": "icmp", "from_port": 255, "to_port": -1}, ("icmp", 255, -1)),
        ({"ip_protocol": "Udp", "from_port": 1, "to_port": 65535}, ("udp", 1, 65535)),
        # R247, D47b, D85: every protocol
        ({"ip_protocol": None, **NO_PORTS}, (None, None, None)),
        ({"ip_protocol": "", "from_port": "", "to_port": ""}, (None, None, None)),
    ],
)
def test_r246_r247_r249_protocols(
    api: Api, web: int, members: dict[str, Any], stored: tuple[Any, ...]
) -> None:
    answer = add_rule(api, web, group_id=None, **members)
    assert answer.status_code == 200, answer.text
    (rule,) = rules(api, web)
    assert (rule["ip_protocol"], rule["from_port"], rule["to_port"]) == stored


@pytest.mark.parametrize(
    ("protocol", "ports"), [("tcp", (1, 65535)), ("UDP", (1, 65535)), ("icmp", (-1, -1))]
)
def test_d47c_a_rule_with_a_source_group_needs_no_ports(
    api: Api, web: int, protocol: str, ports: tuple[int, int]
) -> None:
    members = {"ip_protocol": protocol, "cidr": None, "group_id": str(web), **NO_PORTS}
    made = add_rule(api, web, **members).json()["security_group_rule"]
    assert (made["from_port"], made["to_port"]) == ports
    assert (made["ip_range"], made["group"]["name"]) == ({}, "web")


@pytest.mark.parametrize(
    ("cidr", "stored"),
    [
        ("10.1.2.3", "10.1.2.3/32"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        (" 0.0.0.0/0 ", "0.0.0.0/0"),
        ("255.255.255.255/32", "255.255.255.255/32"),
    ],
)
def test_d47g_networks_are_normalised(api: Api, web: int, cidr: str, stored: str) -> None:
    assert add_rule(api, web, cidr=cidr).status_code == 200
    assert rules(api, web)[0]["ip_range"] == {"cidr": stored}


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"parent_group_id": None}, "Parent group id is not integer"),
        ({"parent_group_id": "web"}, "Parent group id is not integer"),
        ({"parent_group_id": True}, "Parent group id is not integer"),
        ({"parent_group_id": {"id": 1}}, "Parent group id is not integer"),
        ({"cidr": None, "group_id": "web"}, "Security group id should be integer"),
        ({"cidr": None, "group_id": 999}, "Security group (999) not found"),  # D47j
        ({"cidr": None}, ONE_SOURCE),  # D47a
        ({"cidr": ""}, ONE_SOURCE),
        ({"group_id": 1}, ONE_SOURCE),
        (NO_PORTS, INCOMPLETE),  # D47c
        ({"from_port": None}, INCOMPLETE),
        ({"to_port": ""}, INCOMPLETE),
        ({"cidr": None, "group_id": 1, "to_port": None}, INCOMPLETE),
        ({"ip_protocol": None}, INCOMPLETE),  # D47d
        ({"ip_protocol": None, "to_port": None}, INCOMPLETE),
        ({"ip_protocol": "sctp"}, "Invalid IP protocol sctp."),  # D47h
        ({"ip_protocol": "6"}, "Invalid IP protocol 6."),
        ({"ip_protocol": -1}, "Invalid IP protocol -1."),
        ({"ip_protocol": 255, **NO_PORTS}, "Invalid IP protocol 255."),
        ({"ip_protocol": ["tcp"]}, "Invalid IP protocol ['tcp']."),
        ({"cidr": "10.0.0.0/33"}, "Invalid cidr 10.0.0.0/33."),  # D47g
        ({"cidr": "10.0.0/8"}, "Invalid cidr 10.0.0/8."),
        ({"cidr": "10.0.0.256"}, "Invalid cidr 10.0.0.256."),
        ({"cidr": "10.0.0.0/255.0.0.0"}, "Invalid cidr 10.0.0.0/255.0.0.0."),
        ({"cidr": "::/0"}, "Invalid cidr ::/0."),
        ({"cidr": "everywhere"}, "Invalid cidr everywhere."),
        ({"cidr": 10}, "Invalid cidr 10."),
        ({"cidr": "10.0.0.0/8\n-j ACCEPT"}, "Invalid cidr 10.0.0.0/8\n-j ACCEPT."),
        ({"from_port": 23}, f"Invalid port range 23:22. {ORDER}"),  # D7
        ({"from_port": 0}, f"Invalid port range 0:22. {PORTS}"),
        ({"to_port": 65536}, f"Invalid port range 22:65536. {PORTS}"),
        ({"from_port": -1, "to_port": -1}, f"Invalid port range -1:-1. {PORTS}"),
        ({"from_port": "ssh"}, "Invalid port range ssh:22. Both must be integers."),
        ({"to_port": 22.5}, "Invalid port range 22:22.5. Both must be integers."),
        ({"to_port": True}, "Invalid port range 22:True. Both must be integers."),
        ({"ip_protocol": "icmp", "from_port": 256}, f"Invalid port range 256:22. {TYPES}"),
        ({"ip_protocol": "icmp", "to_port": -2}, f"Invalid port range 22:-2. {TYPES}"),
    ],
)
def test_r245_r249_d47_rules_that_are_none(
    api: Api, web: int, members: dict[str, Any], text: str
) -> None:
    parent = members.get("parent_group_id", web)
    rest = {key: value for key, value in members.items() if key != "parent_group_id"}
    answer = add_rule(api, parent, **rest)
    assert fault(answer) == (400, "badRequest", text)
    assert rules(api, web) == []


@pytest.mark.parametrize("parent", [999, "999", 2**62])
def test_d47j_unknown_parent(api: Api, parent: object) -> None:
    text = f"Security group ({parent}) not found"
    assert fault(add_rule(api, parent)) == (404, "itemNotFound", text)


@pytest.mark.parametrize(
    "again",
    [
        {},
        {"cidr": "1.2.3.4/0"},
        {"ip_protocol": "TCP", "from_port": "22"},
        {"cidr": None, "group_id": "own", "ip_protocol": None, **NO_PORTS},
        {"cidr": None, "group_id": "own", **NO_PORTS},
    ],
)
def test_d47f_the_very_same_rule_is_refused(api: Api, web: int, again: dict[str, Any]) -> None:
    again = {**again, **({"group_id": web} if "group_id" in again else {})}
    from_group(api, web, web)
    add_rule(api, web)
    add_rule(api, web, cidr=None, group_id=web, from_port=1, to_port=65535)  # not the same
    assert len(rules(api, web)) == 3
    answer = add_rule(api, web, **again)
    text = f"This rule already exists in group {web}"
    assert fault(answer) == (400, "badRequest", text)
    assert len(rules(api, web)) == 3
    assert add_rule(api, group(api, "other"), **again).status_code == 200


def test_r65_d51_quota_is_each_group_s(api: Api, web: int) -> None:
    for port in range(22, 42):
        assert add_rule(api, web, from_port=port, to_port=port).status_code == 200
    answer = add_rule(api, web)
    assert fault(answer)[2] == f"This rule already exists in group {web}"
    answer = add_rule(api, web, ip_protocol="udp")
    text = "Quota exceeded, too many security group rules."
    assert fault(answer) == (413, "overLimit", text)
    assert answer.headers["retry-after"] == "0"
    assert len(rules(api, web)) == 20
    assert add_rule(api, group(api, "other")).status_code == 200


def test_r251_delete(api: Api, web: int) -> None:
    rule = add_rule(api, web).json()["security_group_rule"]
    path = f"os-security-group-rules/{rule['id']}"
    gone = api.delete(path)
    assert (gone.status_code, gone.content) == (202, b"")
    assert rules(api, web) == []
    assert fault(api.delete(path)) == (404, "itemNotFound", f"Rule ({rule['id']}) not found")


@pytest.mark.parametrize(
    ("rule_id", "expected"),
    [
        ("ssh", (400, "badRequest", "Rule id is not integer")),
        ("1.0", (400, "badRequest", "Rule id is not integer")),
        ("999", (404, "itemNotFound", "Rule (999) not found")),
        ("9" * 30, (404, "itemNotFound", f"Rule ({'9' * 30}) not found")),
    ],
)
def test_d66_ids_in_paths(api: Api, rule_id: str, expected: tuple[int, str, str]) -> None:
    assert fault(api.delete(f"os-security-group-rules/{rule_id}")) == expected
    assert fault(api.xml("DELETE", f"os-security-group-rules/{rule_id}")) == expected


def test_r11_another_tenant_s_rule_is_not_there(api: Api, web: int) -> None:
    rule = add_rule(api, web).json()["security_group_rule"]["id"]
    path = f"/v1.1/40000000000002/os-security-group-rules/{rule}"
    answer = api.delete(path, token="eve")
    assert fault(answer) == (404, "itemNotFound", f"Rule ({rule}) not found")
    assert len(rules(api, web)) == 1


def test_r89_no_other_methods(api: Api) -> None:
    assert api.get("os-security-group-rules").status_code == 405
    assert api.get("os-security-group-rules/1").status_code == 405


def test_r252_hosts_of_members_look_and_no_others(
    api: Api, web: int, records: World, database: Engine
) -> None:
    db = group(api, "db")
    from_group(api, db, web)
    member = place(api, records, database, "a", "cmp2", "web")
    place(api, records, database, "b", "cmp1", "web", "db")
    place(api, records, database, "c", "cmp3", "db")
    made = add_rule(api, web).json()["security_group_rule"]["id"]
    assert api.looked == ["cmp1", "cmp2"]
    api.nudged.clear()
    api.delete(f"os-security-group-rules/{made}")
    assert api.looked == ["cmp1", "cmp2"]
    api.nudged.clear()
    assert add_rule(api, web, from_port=0).status_code == 400
    assert api.looked == []
    assert not changed(api, member["id"])  # R117: the server is what it was
