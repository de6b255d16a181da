"""Actions addSecurityGroup and removeSecurityGroup (R253, R254, D48)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from tests.api.client import Api, fault
from tests.api.groups import changed, execute, from_group, group, place
from tests.api.world import BETA, World


def act(api: Api, server: dict[str, Any], action: str, name: object) -> httpx.Response:
    return api.post(f"servers/{server['id']}/action", {action: {"name": name}})


def names(api: Api, server: dict[str, Any]) -> list[str]:
    shown = api.get(f"servers/{server['id']}").json()["server"]["security_groups"]
    return [group["name"] for group in shown]


@pytest.fixture
def server(api: Api, records: World, database: Engine) -> dict[str, Any]:
    """A server of group default on host cmp1."""
    return place(api, records, database, "web", "cmp1")


def test_r253_add_and_remove(api: Api, server: dict[str, Any], database: Engine) -> None:
    group(api)
    added = act(api, server, "addSecurityGroup", " web ")
    assert (added.status_code, added.content) == (202, b"")
    assert names(api, server) == ["default", "web"]
    assert changed(api, server["id"])  # R117
    assert act(api, server, "removeSecurityGroup", "default").status_code == 202
    assert act(api, server, "removeSecurityGroup", "web").status_code == 202
    assert names(api, server) == []  # the last one may go too
    assert api.looked == ["cmp1"] * 3


def test_r4_xml_by_uuid(api: Api, server: dict[str, Any]) -> None:
    group(api)
    path = f"servers/{server['uuid']}/action"
    for action, expected in (("add", ["default", "web"]), ("remove", ["default"])):
        sent = (
            f'<{action}SecurityGroup xmlns="http://docs.openstack.org/compute/api/v1.1">'
            f"<name>\n web \n</name></{action}SecurityGroup>"
        )
        answer = api.xml("POST", path, sent)
        assert (answer.status_code, answer.content) == (202, b"")
        assert names(api, server) == expected


def test_r254_hosts_of_whom_the_group_may_reach_look_too(
    api: Api, server: dict[str, Any], records: World, database: Engine
) -> None:
    web, db = group(api, "web"), group(api, "db")
    place(api, records, database, "a", "cmp2", "web")  # of the group, which it may not reach
    place(api, records, database, "b", "cmp3", "db")
    place(api, records, database, "c", "cmp4")
    from_group(api, db, web)
    api.nudged.clear()
    act(api, server, "addSecurityGroup", "web")
    assert api.looked == ["cmp1", "cmp3"]
    from_group(api, web, web)
    api.nudged.clear()
    act(api, server, "removeSecurityGroup", "web")
    assert api.looked == ["cmp1", "cmp2", "cmp3"]


@pytest.mark.parametrize("action", ["addSecurityGroup", "removeSecurityGroup"])
@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        (None, 400, "Missing parameter dict"),
        ("web", 400, "Missing parameter dict"),
        ({}, 400, "Security group not specified"),
        ({"name": None}, 400, "Security group not specified"),
        ({"name": " "}, 400, "Security group name cannot be empty"),
        ({"name": 7}, 400, "Security group name cannot be empty"),
        ({"name": "none"}, 404, "Security group none not found."),
        ({"name": "hers"}, 404, "Security group hers not found."),  # R11
    ],
)
def test_d48_names(
    api: Api, server: dict[str, Any], action: str, value: object, code: int, message: str
) -> None:
    group(api, "hers", token="eve", tenant=BETA)
    answer = api.post(f"servers/{server['id']}/action", {action: value})
    assert fault(answer)[::2] == (code, message)
    assert (names(api, server), api.looked) == (["default"], [])
    assert not changed(api, server["id"])


def test_d48_there_already_or_not_there(api: Api, server: dict[str, Any]) -> None:
    web = group(api)
    default = api.get("os-security-groups?name=default").json()["security_groups"][0]["id"]
    assert fault(act(api, server, "addSecurityGroup", "default")) == (
        400, "badRequest",
        f"Security group {default} is already associated with the instance {server['id']}",
    )  # fmt: skip
    assert fault(act(api, server, "removeSecurityGroup", "web")) == (
        400, "badRequest",
        f"Security group {web} is not associated with the instance {server['id']}",
    )  # fmt: skip
    assert not changed(api, server["id"])


@pytest.mark.parametrize(
    ("vm", "task", "code"),
    [
        ("BUILD", "scheduling", 409),
        ("ACTIVE", "deleting", 409),
        ("BUILD", "networking", 202),
        ("ACTIVE", "rebooting", 202),
        ("STOPPED", None, 202),
        ("ERROR", None, 202),
    ],
)
def test_d48_states(
    api: Api, server: dict[str, Any], database: Engine, vm: str, task: str | None, code: int
) -> None:
    group(api)
    execute(database, "UPDATE servers SET vm_state = :vm, task_state = :task", vm=vm, task=task)
    for action, name in (("removeSecurityGroup", "default"), ("addSecurityGroup", "web")):
        answer = act(api, server, action, name)
        assert answer.status_code == code
        if code == 409:
            text = f"Cannot '{action}' while instance is in task_state {task}"
            assert fault(answer) == (409, "inProgress", text)
    assert names(api, server) == (["default"] if code == 409 else ["web"])


def test_r99_a_server_without_a_host_tells_nobody(
    api: Api, server: dict[str, Any], database: Engine
) -> None:
    group(api)
    execute(database, "UPDATE servers SET vm_state = 'ERROR', host_id = NULL")
    assert act(api, server, "addSecurityGroup", "web").status_code == 202
    assert api.looked == []
