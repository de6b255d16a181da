"""Servers after creation: list, show, rename, delete, addresses (R91-R117, R137-R146, R222)."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import Engine, event, text

from db.engine import async_engine
from tests.api.client import Api, fault
from tests.api.world import ALPHA, BASE, World

NETWORKING = """
    INSERT INTO hosts (name, zone_id, management_address, hypervisor, vcpus, ram_mb, disk_gb,
                       vcpu_ratio, ram_ratio, disk_ratio)
    VALUES ('cmp1', 1, '192.168.50.11', 'fake', 8, 8192, 100, 1, 1, 1);
    INSERT INTO networks (zone_id, name, cidr, gateway, gateway_mac)
    VALUES (1, 'private', '10.0.0.0/16', '10.0.0.1', 'fe-00-00-00-00-01');
    INSERT INTO fixed_addresses (network_id, address, server_id) VALUES (1, '10.0.0.10', 1);
    INSERT INTO public_pools (zone_id, name) VALUES (1, 'public');
    INSERT INTO public_addresses (pool_id, address, server_id, tenant_id, automatic, associated_at)
    VALUES (1, '15.185.16.9', 1, '36991859863737', false, now()),
           (1, '15.185.16.1', 1, NULL, true, now());
    UPDATE servers SET host_id = 1
"""


XML = "http://docs.openstack.org/compute/api/v1.1"


def execute(database: Engine, statements: str, **values: Any) -> None:
    with database.begin() as conn:
        for statement in statements.split(";"):
            conn.execute(text(statement), values)


def set_state(database: Engine, vm: str, task: str | None = None) -> None:
    execute(database, "UPDATE servers SET vm_state = :vm, task_state = :task", vm=vm, task=task)


@pytest.fixture
def server(api: Api, records: World) -> dict[str, Any]:
    made: dict[str, Any] = api.create("web", records.images["public"]).json()["server"]
    return made


def test_r137_brief_list(api: Api, server: dict[str, Any]) -> None:
    (listed,) = api.get("servers").json()["servers"]
    assert listed == {
        "id": server["id"],
        "uuid": server["uuid"],
        "name": "web",
        "links": [
            {"href": f"{BASE}/v1.1/{ALPHA}/servers/{server['id']}", "rel": "self"},
            {"href": f"{BASE}/{ALPHA}/servers/{server['id']}", "rel": "bookmark"},
        ],
    }


def test_r138_detail_has_the_members_of_the_single_view(api: Api, server: dict[str, Any]) -> None:
    (listed,) = api.get("servers/detail").json()["servers"]
    assert listed == api.get(f"servers/{server['id']}").json()["server"]


def test_r94_id_or_uuid_in_any_case(api: Api, server: dict[str, Any]) -> None:
    for name in (server["id"], server["uuid"], server["uuid"].upper()):
        assert api.get(f"servers/{name}").json()["server"]["id"] == server["id"]


@pytest.mark.parametrize(
    "server_id", ["web", "999", "0", "-1", "1x", "9" * 40, "00000000-0000-0000-0000-000000000000"]
)
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_r95_d66_d29_anything_else_is_404(
    api: Api, server: dict[str, Any], method: str, server_id: str
) -> None:
    body = {"server": {"name": "new"}} if method == "PUT" else None
    assert fault(api(method, f"servers/{server_id}", body)) == (
        404, "itemNotFound", "The resource could not be found.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("vm", "task", "status", "progress"),
    [
        ("BUILD", "networking", "BUILD(networking)", None),
        ("BUILD", "block_device_mapping", "BUILD(block_device_mapping)", None),
        ("BUILD", None, "BUILD", 0),
        ("ACTIVE", None, "ACTIVE", 100),
        ("ACTIVE", "deleting", "ACTIVE(deleting)", None),
        ("ACTIVE", "rebooting", "ACTIVE(rebooting)", None),
        ("ACTIVE", "rebuilding", "ACTIVE(rebuilding)", None),
        ("ACTIVE", "image_snapshot", "ACTIVE(image_snapshot)", None),
        ("REBUILD", None, "REBUILD", None),
        ("REBUILD", "spawning", "REBUILD(spawning)", None),
        ("STOPPED", None, "STOPPED", None),
        ("ERROR", None, "ERROR", None),
    ],
)
def test_r107_r108_r113_d2_d32_d87_status(
    api: Api, server: dict[str, Any], database: Engine, vm: str, task: str, status: str,
    progress: int | None,
) -> None:  # fmt: skip
    set_state(database, vm, task)
    shown = api.get(f"servers/{server['id']}").json()["server"]
    assert (shown["status"], shown.get("progress")) == (status, progress)
    root = etree.fromstring(api.get(f"servers/{server['id']}.xml").content)
    assert root.get("status") == status
    assert root.get("progress") == (None if progress is None else str(progress))


def test_r112_an_error_says_why(api: Api, server: dict[str, Any], database: Engine) -> None:
    execute(
        database,
        "UPDATE servers SET vm_state = 'ERROR', task_state = NULL, fault_code = 500,"
        " fault_message = 'No host has 1024 MB of memory free'",
    )
    fault_member = api.get(f"servers/{server['id']}").json()["server"]["fault"]
    assert fault_member["code"] == 500
    assert fault_member["message"] == "No host has 1024 MB of memory free"
    element = etree.fromstring(api.get("servers/1.xml").content).find(f"{{{XML}}}fault")
    assert element is not None
    assert (element.get("code"), element.get("created")) == ("500", fault_member["created"])
    assert element.findtext(f"{{{XML}}}message") == fault_member["message"]


def test_r142_r116_d33_d41_d91_addresses_and_host(
    api: Api, server: dict[str, Any], database: Engine
) -> None:
    path = f"servers/{server['id']}"
    assert api.get(f"{path}/ips").json() == {"addresses": {}}
    assert fault(api.get(f"{path}/ips/private"))[0] == 404
    execute(database, NETWORKING)
    shown = api.get(path).json()["server"]
    expected = {
        "private": [
            {"addr": "10.0.0.10", "version": 4},
            {"addr": "15.185.16.1", "version": 4},
            {"addr": "15.185.16.9", "version": 4},
        ]
    }
    assert shown["addresses"] == expected
    assert shown["hostId"] == hashlib.sha224(f"{ALPHA}cmp1".encode()).hexdigest()
    assert re.fullmatch("[0-9a-f]{56}", shown["hostId"])
    assert api.get(f"{path}/ips").json() == {"addresses": expected}  # R222
    for name in ("private", "private.json", "private/"):
        assert api.get(f"{path}/ips/{name}").json() == expected
    assert fault(api.get(f"{path}/ips/public")) == (
        404, "itemNotFound", "Instance is not a member of specified network",
    )  # fmt: skip
    assert fault(api.get("servers/99/ips")) == (404, "itemNotFound", "Instance does not exist")


def test_r137_r143_r222_in_xml(api: Api, server: dict[str, Any], database: Engine) -> None:
    execute(database, NETWORKING)
    root = etree.fromstring(api.get("servers.xml").content)
    (brief,) = root
    assert (root.tag, brief.tag) == (f"{{{XML}}}servers", f"{{{XML}}}server")
    assert dict(brief.attrib) == {"id": "1", "name": "web"}  # without the UUID
    (listed,) = etree.fromstring(api.get("servers/detail.xml").content)
    shown = etree.fromstring(api.get("servers/1.xml").content)
    one, other = (
        [(e.tag, dict(e.attrib), e.text) for e in root.iter()] for root in (listed, shown)
    )
    assert one == other  # R138
    assert list(shown.attrib) == [
        "accessIPv4", "accessIPv6", "created", "hostId", "id", "name", "status", "tenantId",
        "updated", "userId", "uuid",
    ]  # fmt: skip
    expected = [("10.0.0.10", "4"), ("15.185.16.1", "4"), ("15.185.16.9", "4")]
    for path in ("servers/1", "servers/1/ips", "servers/1/ips/private"):
        root = etree.fromstring(api.get(f"{path}.xml").content)
        (network,) = root.iter(f"{{{XML}}}network")
        assert network.get("id") == "private"
        assert [(ip.get("addr"), ip.get("version")) for ip in network] == expected
    assert fault(api.get("servers/1/ips/public.xml")) == (
        404, "itemNotFound", "Instance is not a member of specified network",
    )  # fmt: skip


def test_r41_r43_r47_r48_r49_d86_pages(api: Api, records: World) -> None:
    for number in range(5):
        api.create(f"web {number}", records.images["public"])
    api.create("set", records.images["public"], min_count=3)
    whole = api.get("servers").json()["servers"]
    assert [server["id"] for server in whole] == list(range(8, 0, -1))
    for path in ("servers", "servers/detail"):
        for key in ("id", "uuid"):
            pages: list[Any] = []
            marker = ""
            while page := api.get(f"{path}?limit=3{marker}").json()["servers"]:
                pages += [server["id"] for server in page]
                marker = f"&marker={page[-1][key]}"
            assert pages == list(range(8, 0, -1))


def test_r103_r105_d67_rename(api: Api, server: dict[str, Any]) -> None:
    path = f"servers/{server['uuid']}"
    body = {"server": {"name": " new name ", "accessIPv4": "1.2.3.4", "status": "x"}}
    answer = api.put(path, body)
    assert answer.status_code == 200
    renamed = answer.json()["server"]
    assert (renamed["name"], renamed["id"]) == ("new name", server["id"])
    assert renamed["created"] == server["created"]
    assert "adminPass" not in renamed
    assert api.put(path, body).status_code == 200  # R105
    assert api.looked == []  # it has no host yet


def test_r103_the_host_of_a_renamed_server_looks(
    api: Api, server: dict[str, Any], database: Engine
) -> None:
    """The guest sees its name in its metadata (wire notes 5.3)."""
    execute(database, NETWORKING)
    assert api.put("servers/1", {"server": {"name": "new name"}}).status_code == 200
    assert api.looked == ["cmp1"]


@pytest.mark.parametrize(
    "xml",
    [
        f'<?xml version="1.0" ?><server xmlns="{XML}">\n<name>\n new name </name></server>',
        f'<server xmlns="{XML}" name=" new name " accessIPv4="1.2.3.4"/>',
        '<server name="new name"><metadata/></server>',
    ],
)
def test_d67_rename_in_xml(api: Api, server: dict[str, Any], xml: str) -> None:
    answer = api.put(
        "servers/1.xml", content=xml.encode(), headers={"Content-Type": "application/xml"}
    )
    assert answer.status_code == 200, answer.text
    root = etree.fromstring(answer.content)
    assert (root.get("name"), root.get("uuid")) == ("new name", server["uuid"])
    assert root.get("adminPass") is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"server": {}}, "Server name is not defined"),
        ({"server": {"name": None}}, "Server name is not defined"),
        ({"server": {"name": 7}}, "Server name is not a string or unicode"),
        ({"server": {"name": "77"}}, "Server name must contain at least one alphabetic character."),
        ({"name": "x"}, "Malformed request body"),
        ({"server": {"name": "other"}}, "Server name 'other' already in use."),
    ],
)
def test_r104_rules_of_renaming(
    api: Api, records: World, server: dict[str, Any], body: Any, message: str
) -> None:
    api.create("other", records.images["public"])
    answer = api.put(f"servers/{server['id']}", body)
    assert fault(answer) == (400, "badRequest", message)
    assert api.get(f"servers/{server['id']}").json()["server"]["name"] == "web"


def test_d15_renaming_within_and_onto_a_set(api: Api, records: World) -> None:
    api.create("set", records.images["public"], min_count=2)
    assert api.put("servers/1", {"server": {"name": "alone"}}).status_code == 200
    answer = api.put("servers/1", {"server": {"name": "set"}})
    assert fault(answer) == (400, "badRequest", "Server name 'set' already in use.")
    assert api.put("servers/2", {"server": {"name": "free"}}).status_code == 200
    assert api.put("servers/1", {"server": {"name": "set"}}).status_code == 200


@pytest.mark.parametrize(
    ("vm", "task"),
    [("BUILD", "scheduling"), ("BUILD", "spawning"), ("ACTIVE", None), ("ERROR", None),
     ("STOPPED", None)],
)  # fmt: skip
def test_r144_d60_delete_is_accepted_in_every_state(
    api: Api, server: dict[str, Any], database: Engine, vm: str, task: str | None
) -> None:
    set_state(database, vm, task)
    api.nudged.clear()
    path = f"servers/{server['id']}"
    answer = api.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers
    assert api.get(path).json()["server"]["status"] == f"{vm}(deleting)"
    assert [target for target, _ in api.nudged] == ["scheduler"]
    assert api.delete(path).status_code == 204  # again, while it is being deleted
    assert len(api.nudged) == 1
    renamed = api.put(path, {"server": {"name": "late"}})
    assert fault(renamed) == (
        409, "inProgress", "Cannot 'rename' while instance is in task_state deleting",
    )  # fmt: skip


def test_r145_r99_gone_after_deletion(
    api: Api, records: World, server: dict[str, Any], database: Engine
) -> None:
    from db.queries.server_changes import forget

    path = f"servers/{server['id']}"
    api.delete(path)
    with database.begin() as conn:
        forget(conn, server["id"])
    assert api.get(path).status_code == 404
    assert api.delete(path).status_code == 404
    assert api.get("servers").json() == {"servers": []}
    again = api.create("web", records.images["public"]).json()["server"]
    assert again["id"] != server["id"]  # D69
    assert fault(api.get(f"servers?marker={server['id']}"))[0] == 400  # D11


def test_conflicting_deletes_and_renames_at_once(api: Api, server: dict[str, Any]) -> None:
    path = f"servers/{server['id']}"
    requests = [api.prepare("DELETE", path) for _ in range(4)]
    requests += [api.prepare("PUT", path, {"server": {"name": f"n{n}"}}) for n in range(4)]
    codes = [answer.status_code for answer in api.all(requests)]
    assert codes[:4] == [204] * 4
    assert set(codes[4:]) <= {200, 409}


@pytest.mark.parametrize(
    "path",
    [
        "servers/1",
        "servers/1.xml",
        "servers/1/ips",
        *(
            f"{path}?{query}"
            for path in ("servers", "servers/detail", "servers/detail.xml")
            for query in (
                "",
                "limit=2&marker=3",
                "status=build&name=web&image=1&flavor=100",
                "changes-since=2012-01-01T00:00:00Z&marker=3",
            )
        ),
    ],
)
def test_hot_reads_are_one_query_beside_the_token(
    api: Api, records: World, database: Engine, path: str
) -> None:
    """Whatever is in them: metadata, groups, addresses."""
    for number in range(3):
        api.create(f"web {number}", records.images["public"], metadata={"a": "b", "c": "d"})
    execute(database, NETWORKING)
    seen: list[str] = []

    def note(*args: Any) -> None:
        seen.append(args[2])

    engine = async_engine().sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        answer = api.get(path)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert answer.status_code == 200
    assert "web 1" in answer.text or "servers/1" in path
    assert len(seen) == 2
