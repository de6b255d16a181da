"""The inventory of the API's reference, ``operations.yaml``, as the contract tests read it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_FILE = yaml.safe_load((Path(__file__).parent / "operations.yaml").read_text())
FAULT_ELEMENTS: dict[str, int] = {
    **{root: code for root, code in _FILE["meta"]["fault_elements"].items() if code != 403},
    "cloudServersFault": 500,
    "forbidden": 403,  # instead of resizeNotAllowed (D45)
}

# The requirements that an operation's example shows, by operation or by the start of its id.
REQUIREMENTS = {
    "versions.show": "R5-R6",
    "extensions.list": "R75-R77",
    "extensions.show": "R78",
    "limits.list": "R64-R69",
    "servers.list": "R137",
    "servers.create": "R118-R136",
    "servers.detail": "R138",
    "servers.show": "R141-R143",
    "servers.update": "R103-R104",
    "servers.delete": "R144",
    "servers.action.reboot": "R147-R149",
    "servers.action.rebuild": "R150-R152",
    "servers.action.createImage": "R161-R163",
    "servers.action.getConsoleOutput": "R207",
    "servers.action.addFloatingIp": "R226",
    "servers.action.removeFloatingIp": "R227",
    "servers.action.addSecurityGroup": "R253",
    "servers.action.removeSecurityGroup": "R253",
    "servers.metadata.list": "R173",
    "servers.metadata.update": "R174",
    "servers.metadata.replace": "R175",
    "servers.metadata.item.show": "R177",
    "servers.metadata.item.set": "R178",
    "servers.metadata.item.delete": "R180",
    "servers.ips": "R222",
    "images.list": "R167",
    "images.detail": "R167",
    "images.show": "R169",
    "images.delete": "R170",
    "images.metadata.list": "R173",
    "images.metadata.update": "R174",
    "images.metadata.replace": "R175",
    "images.metadata.item.show": "R177",
    "images.metadata.item.set": "R178",
    "images.metadata.item.delete": "R180",
    "flavors.list": "R212",
    "flavors.detail": "R213",
    "flavors.show": "R214",
    "floating_ips.list": "R224",
    "floating_ips.allocate": "R223",
    "floating_ips": "R225",
    "keypairs.list": "R232",
    "keypairs.create": "R230-R231",
    "keypairs.show": "R233",
    "keypairs.delete": "R234",
    "security_groups.list": "R241",
    "security_groups.create": "R240",
    "security_groups.show": "R242",
    "security_groups.delete": "R243",
    "security_group_rules.create": "R245-R249",
    "security_group_rules.delete": "R251",
}


@dataclass(frozen=True)
class Operation:
    """One operation. Examples are the reference's text, verbatim; None where it has none."""

    id: str
    title: str
    method: str
    path: str
    action: str | None  # root of the body, where one path takes several operations
    decisions: tuple[str, ...]
    faults: frozenset[int]
    query: tuple[str, ...]
    fields: tuple[dict[str, Any], ...]
    has_body: bool
    json_request: str | None
    xml_request: str | None
    success: int
    headers: tuple[str, ...]
    json_answer: str | None
    xml_answer: str | None

    @property
    def numbers(self) -> str:
        """Requirements and decisions that it stands for, for the names of tests."""
        name = self.id
        while name not in REQUIREMENTS:
            name = name.rpartition(".")[0]
        return ",".join((REQUIREMENTS[name], *self.decisions))

    @property
    def route(self) -> tuple[str, str]:
        """Method and path with the names of variables blanked."""
        return self.method, blank(self.path)

    @property
    def reads(self) -> bool:
        """Whether it changes nothing (R37)."""
        return self.method == "GET"

    @property
    def is_tenants(self) -> bool:
        """Whether it is below a tenant's path (R3)."""
        return "{tenant_id}" in self.path


def blank(path: str) -> str:
    """A path with the names of its variables blanked."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def _operation(entry: dict[str, Any]) -> Operation:
    request, response = entry["request"], entry["response"]
    return Operation(
        id=entry["id"],
        title=entry["title"],
        method=entry["method"],
        path=entry["path"],
        action=entry.get("action_key"),
        decisions=tuple(entry.get("decisions") or ()),
        faults=frozenset(fault["code"] for fault in entry["faults"]),
        query=tuple(query["name"] for query in entry.get("query_params") or ()),
        fields=tuple(request.get("fields") or ()),
        has_body=request["body"],
        json_request=request.get("example_json"),
        xml_request=request.get("example_xml"),
        success=response["success"],
        headers=tuple(header["name"] for header in response.get("headers") or ()),
        json_answer=response.get("example_json"),
        xml_answer=response.get("example_xml"),
    )


ALL = tuple(_operation(entry) for entry in _FILE["operations"])
OPERATIONS = {operation.id: operation for operation in ALL}
assert len(OPERATIONS) == _FILE["meta"]["count"]


def json_answer(operation_id: str) -> Any:
    """The printed JSON answer."""
    text = OPERATIONS[operation_id].json_answer
    assert text is not None
    return json.loads(text)
