"""The API against the inventory of its reference, operation by operation.

Each operation of ``operations.yaml`` that is served is called as its example says, and status,
root, members and types of the answer are compared with the example's, recursively. An operation
joins by being listed in ``CALLS``; routes and this list are compared, so that none is forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fastapi.routing import APIRoute
from sqlalchemy import Engine, text

from api.app import ROUTERS
from tests.api.client import Api
from tests.api.world import ALPHA, ZONE_1, World

REFERENCE = yaml.safe_load((Path(__file__).parent / "operations.yaml").read_text())
OPERATIONS = {operation["id"]: operation for operation in REFERENCE["operations"]}
FREE = ("metadata",)  # maps whose keys are the client's


def example(operation_id: str) -> Any:
    return json.loads(OPERATIONS[operation_id]["response"]["example_json"])


def create_example() -> Any:
    """The printed one is a captured fault: the single view and a password (D4)."""
    server = dict(example("servers.show")["server"])
    del server["progress"]
    return {"server": {**server, "adminPass": "2eb56Qh2uVAuC7ub", "addresses": {}}}


# Where a decision corrects the printed example.
EXAMPLES: dict[str, Callable[[], Any]] = {
    "servers.create": create_example,
    "flavors.detail": lambda: {"flavors": [example("flavors.show")["flavor"]]},  # D50
    "images.show": lambda: {"image": example("images.detail")["images"][0]},  # D43: public
    "limits.list": lambda: {
        "limits": {
            "absolute": {
                **example("limits.list")["limits"]["absolute"],
                **dict.fromkeys(  # D51
                    ("maxTotalCores", "maxTotalFloatingIps", "maxTotalVolumes",
                     "maxTotalVolumeGigabytes"), 1,
                ),
            },
            "rate": example("limits.list")["limits"]["rate"],
        }
    },
}  # fmt: skip


def with_pool(operation_id: str) -> Any:
    """D80: floating addresses carry their pool."""
    answer = example(operation_id)
    for shown in answer.get("floating_ips") or [answer["floating_ip"]]:
        shown["pool"] = "public"
    return answer


for floating in ("floating_ips.list", "floating_ips.allocate", "floating_ips.show"):
    EXAMPLES[floating] = partial(with_pool, floating)

PLACING = """
    INSERT INTO hosts (name, zone_id, management_address, hypervisor, vcpus, ram_mb, disk_gb,
                       vcpu_ratio, ram_ratio, disk_ratio)
    VALUES ('cmp1', :zone, '192.168.50.11', 'fake', 8, 8192, 100, 1, 1, 1);
    INSERT INTO networks (zone_id, name, cidr, gateway, gateway_mac)
    VALUES (:zone, 'private', '10.0.0.0/16', '10.0.0.1', 'fe-00-00-00-00-01');
    INSERT INTO fixed_addresses (network_id, address, server_id) VALUES (1, '10.0.0.10', :id);
    INSERT INTO public_pools (zone_id, name) VALUES (:zone, 'public');
    INSERT INTO public_addresses (pool_id, address, server_id, automatic)
    VALUES (1, '15.185.16.1', :id, true);
    INSERT INTO public_addresses (pool_id, address, tenant_id)
    VALUES (1, '15.185.16.2', :tenant), (1, '15.185.16.3', :tenant), (1, '15.185.16.4', NULL);
    INSERT INTO security_groups (id, zone_id, tenant_id, name)
    VALUES (17963, :zone, :tenant, 'XML'), (17965, :zone, :tenant, 'JSON');
    INSERT INTO security_group_rules (group_id, protocol, from_port, to_port, cidr)
    VALUES (:default, 'tcp', 22, 22, '0.0.0.0/0'), (:default, 'icmp', -1, -1, '0.0.0.0/0'),
           (17963, 'tcp', 80, 8080, '0.0.0.0/0');
    INSERT INTO security_group_rules (group_id, source_group_id) VALUES (:default, :default);
    UPDATE servers SET vm_state = 'ACTIVE', task_state = NULL, host_id = 1 WHERE id = :id
"""


OWN_IMAGE = """
    INSERT INTO images (zone_id, tenant_id, name, status, disk_format, checksum)
    VALUES (:zone, :tenant, 'image-1', 'ACTIVE', 'qcow2', 'c') RETURNING id
"""


class Stage:
    """A tenant with a server that runs, as the examples suppose."""

    def __init__(self, api: Api, records: World, database: Engine) -> None:
        self.api, self.records = api, records
        api.add_key("key.pub")
        made = api.create(
            "server-name-2", records.images["public"], key_name="key.pub", metadata={"key-1": "v"}
        )
        assert made.status_code == 202, made.text
        self.server_id = made.json()["server"]["id"]
        self.database = database
        with database.begin() as conn:
            self._place(conn)

    def own_image(self) -> str:
        """Path of an image of the tenant's own, with an item."""
        values = {"zone": min(self.records.zones.values()), "tenant": ALPHA}
        with self.database.begin() as conn:
            image_id = conn.execute(text(OWN_IMAGE), values).scalar_one()
        path = f"images/{image_id}"
        assert self.api.post(f"{path}/metadata", {"metadata": {"key-1": "v"}}).status_code == 200
        return path

    def _place(self, conn: Any) -> None:
        """What scheduler and agent would make true."""
        values = {
            "id": self.server_id, "zone": self.records.zones[ZONE_1], "tenant": ALPHA,
            "default": self.records.groups[ALPHA, ZONE_1],
        }  # fmt: skip
        for statement in PLACING.split(";"):
            conn.execute(text(statement), values)

    def act(self, operation_id: str, **members: str) -> httpx.Response:
        """An action by its example, about something that is here."""
        root = operation_id.rpartition(".")[2]
        return self.api.post(f"servers/{self.server_id}/action", {root: members})

    def remove(self, added: str, removed: str, **members: str) -> httpx.Response:
        """An action that undoes another one."""
        self.act(added, **members)
        return self.act(removed, **members)


def request_body(operation_id: str) -> Any:
    return json.loads(OPERATIONS[operation_id]["request"]["example_json"])


def create(stage: Stage) -> httpx.Response:
    body = request_body("servers.create")
    body["server"] |= {"imageRef": str(stage.records.images["public"]), "security_groups": []}
    return stage.api.post("servers", body)


Call = Callable[[Stage], httpx.Response]


def metadata_calls(noun: str, owner: Callable[[Stage], str]) -> dict[str, Call]:
    """Calls on the metadata of what a path leads to."""
    of = f"{noun}.metadata"

    def call(name: str, method: str, below: str) -> Call:
        def run(stage: Stage) -> httpx.Response:
            body = request_body(f"{of}.{name}") if method in ("POST", "PUT") else None
            return stage.api(method, f"{owner(stage)}/metadata{below}", body)

        return run

    return {
        f"{of}.list": call("list", "GET", ""),
        f"{of}.update": call("update", "POST", ""),
        f"{of}.replace": call("replace", "PUT", ""),
        f"{of}.item.show": call("item.show", "GET", "/key-1"),
        f"{of}.item.set": call("item.set", "PUT", "/key-1"),
        f"{of}.item.delete": call("item.delete", "DELETE", "/key-1"),
    }


CALLS: dict[str, Call] = {
    "versions.show": lambda s: s.api.get("/v1.1/", token=None),
    "extensions.list": lambda s: s.api.get("extensions"),
    "extensions.show": lambda s: s.api.get("extensions/os-keypairs"),
    "limits.list": lambda s: s.api.get("limits"),
    "servers.list": lambda s: s.api.get("servers"),
    "servers.create": create,
    "servers.detail": lambda s: s.api.get("servers/detail"),
    "servers.show": lambda s: s.api.get(f"servers/{s.server_id}"),
    "servers.update": lambda s: s.api.put(
        f"servers/{s.server_id}", request_body("servers.update")
    ),
    "servers.delete": lambda s: s.api.delete(f"servers/{s.server_id}"),
    "servers.ips.list": lambda s: s.api.get(f"servers/{s.server_id}/ips"),
    "servers.ips.show": lambda s: s.api.get(f"servers/{s.server_id}/ips/private"),
    "images.list": lambda s: s.api.get("images"),
    "images.detail": lambda s: s.api.get("images/detail"),
    "images.show": lambda s: s.api.get(f"images/{s.records.images['public']}"),
    "images.delete": lambda s: s.api.delete(s.own_image()),
    **metadata_calls("servers", lambda s: f"servers/{s.server_id}"),
    **metadata_calls("images", lambda s: s.own_image()),
    "flavors.list": lambda s: s.api.get("flavors"),
    "flavors.detail": lambda s: s.api.get("flavors/detail"),
    "flavors.show": lambda s: s.api.get("flavors/103"),
    "keypairs.list": lambda s: s.api.get("os-keypairs"),
    "keypairs.create": lambda s: s.api.post("os-keypairs", request_body("keypairs.create")),
    "keypairs.show": lambda s: s.api.get("os-keypairs/key.pub"),
    "keypairs.delete": lambda s: s.api.delete("os-keypairs/key.pub"),
    "servers.action.addFloatingIp": lambda s: s.act("addFloatingIp", address="15.185.16.2"),
    "servers.action.removeFloatingIp": lambda s: s.remove(
        "addFloatingIp", "removeFloatingIp", address="15.185.16.2"
    ),
    "servers.action.addSecurityGroup": lambda s: s.act("addSecurityGroup", name="XML"),
    "servers.action.removeSecurityGroup": lambda s: s.remove(
        "addSecurityGroup", "removeSecurityGroup", name="XML"
    ),
    "floating_ips.list": lambda s: s.api.get("os-floating-ips"),
    "floating_ips.allocate": lambda s: s.api.post("os-floating-ips"),
    "floating_ips.show": lambda s: s.api.get("os-floating-ips/2"),
    "floating_ips.deallocate": lambda s: s.api.delete("os-floating-ips/2"),
    "security_groups.list": lambda s: s.api.get("os-security-groups?name=default"),
    "security_groups.create": lambda s: s.api.post(
        "os-security-groups", request_body("security_groups.create")
    ),
    "security_groups.show": lambda s: s.api.get("os-security-groups/17963"),
    "security_groups.delete": lambda s: s.api.delete("os-security-groups/17963"),
    "security_group_rules.create": lambda s: s.api.post(
        "os-security-group-rules", request_body("security_group_rules.create")
    ),
    "security_group_rules.delete": lambda s: s.api.delete("os-security-group-rules/1"),
}  # fmt: skip
BEYOND = {  # what clients need beside the reference
    ("GET", "/v1.1/{}/os-floating-ip-pools"),  # D80
    ("GET", "/v1.1/{}/servers/{}/os-security-groups"),  # D78
}


@pytest.fixture
def stage(api: Api, records: World, database: Engine, rates: None) -> Stage:
    with database.begin() as conn:  # the examples show one kind of image: public ones
        conn.execute(text("DELETE FROM images WHERE tenant_id IS NOT NULL"))
    return Stage(api, records, database)


def compare(expected: Any, actual: Any, where: str = "") -> None:
    """Same members, same types, recursively; lists item by item, the last for the rest."""
    assert type(actual) is type(expected), f"{where}: {actual!r} is not like {expected!r}"
    if isinstance(expected, dict):
        if where.rpartition(".")[2] in FREE:
            return
        assert sorted(actual) == sorted(expected), where
        for key, value in expected.items():
            compare(value, actual[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert bool(actual) == bool(expected), f"{where}: {actual!r}"
        for at, item in enumerate(actual):
            compare(expected[min(at, len(expected) - 1)], item, f"{where}[{at}]")


@pytest.mark.parametrize("operation_id", CALLS)
def test_operation_answers_as_the_example(operation_id: str, stage: Stage) -> None:
    """R2, R4: status, body and types of each operation."""
    response = OPERATIONS[operation_id]["response"]
    answer = CALLS[operation_id](stage)
    assert answer.status_code == response["success"], answer.text
    assert answer.headers["x-compute-request-id"].startswith("req-")
    if not response.get("example_json"):
        assert answer.content == b""  # R38
        return
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"  # R27
    assert int(answer.headers["content-length"]) == len(answer.content)  # R28
    for header in response.get("headers") or []:
        assert header["name"] in answer.headers
    expected = EXAMPLES.get(operation_id, lambda: example(operation_id))()
    compare(expected, answer.json())


def served() -> set[tuple[str, str]]:
    """Method and path of every route, with the names of variables blanked."""
    return {
        (method, "/".join("{}" if part.startswith("{") else part for part in route.path.split("/")))
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }


def test_every_listed_operation_has_a_route_and_every_route_is_listed() -> None:
    """R2, R79: nothing is served that the reference does not have."""

    def key(operation: dict[str, Any]) -> tuple[str, str]:
        parts = operation["path"].split("/")
        return operation["method"], "/".join("{}" if "{" in part else part for part in parts)

    listed = {key(OPERATIONS[operation_id]) for operation_id in CALLS}
    compute = {route for route in served() if route[1].startswith("/v1.1")}
    assert listed | BEYOND == compute


def test_fault_elements_are_the_reference_s() -> None:
    """R83: root element by status; forbidden by D45."""
    from api import faults

    known = {
        value.root: value.status
        for value in vars(faults).values()
        if isinstance(value, type) and issubclass(value, faults.Fault) and hasattr(value, "root")
    }
    expected = dict(REFERENCE["meta"]["fault_elements"])
    del expected["resizeNotAllowed"]
    expected["cloudServersFault"] = 500
    assert known == {**expected, "forbidden": 403}


def test_d13_lists_and_details_are_told_from_items_by_their_paths() -> None:
    """What the second rate of GETs counts: the path of an item ends with its id."""
    for operation in OPERATIONS.values():
        name = operation["id"].rpartition(".")[2]
        if operation["method"] == "GET" and operation["path"].startswith("/v1.1/{tenant_id}/"):
            of_list = name in ("list", "detail")
            assert of_list or name in ("show", "*"), operation["id"]
            assert of_list != operation["path"].rstrip("]").endswith("}"), operation["id"]
