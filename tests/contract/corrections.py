"""Where a decision corrects what the reference printed. Everything else is taken verbatim."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lxml import etree

from api.wire.xml import COMPUTE, Element
from tests.contract.reference import OPERATIONS, Operation, json_answer


def _created() -> Any:
    """D4: the printed one is a captured fault; the single view and a password. D32: no progress."""
    server = dict(json_answer("servers.show")["server"])
    del server["progress"]
    return {"server": {**server, "adminPass": "2eb56Qh2uVAuC7ub", "addresses": {}}}


def _rebuilt() -> Any:
    """D4: the groups, which the printed XML has, are part of the single view."""
    server = json_answer("servers.action.rebuild")["server"]
    groups = json_answer("servers.show")["server"]["security_groups"]
    return {"server": {**server, "security_groups": groups}}


def _limits() -> Any:
    """D51: more absolute limits than printed."""
    limits = json_answer("limits.list")["limits"]
    more = ("maxTotalCores", "maxTotalFloatingIps", "maxTotalVolumes", "maxTotalVolumeGigabytes")
    return {"limits": {**limits, "absolute": {**limits["absolute"], **dict.fromkeys(more, 1)}}}


def _with_pool(operation_id: str) -> Any:
    """D80: os-floating-ip-pools is served, so floating addresses have a pool."""
    answer = json_answer(operation_id)
    for floating in answer.get("floating_ips") or [answer["floating_ip"]]:
        floating["pool"] = "public"
    return answer


def _with_pool_in_xml(operation_id: str) -> Element:
    answer = _parsed(OPERATIONS[operation_id])
    for floating in answer.iter(f"{{{COMPUTE}}}floating_ip"):
        etree.SubElement(floating, f"{{{COMPUTE}}}pool").text = "public"
    return answer


JSON_ANSWERS: dict[str, Callable[[], Any]] = {
    "servers.create": _created,  # D4
    "servers.action.rebuild": _rebuilt,  # D4
    "limits.list": _limits,  # D51
    "flavors.detail": lambda: {"flavors": [json_answer("flavors.show")["flavor"]]},  # D50
    "floating_ips.list": lambda: _with_pool("floating_ips.list"),  # D80
    "floating_ips.allocate": lambda: _with_pool("floating_ips.allocate"),  # D80
    "floating_ips.show": lambda: _with_pool("floating_ips.show"),  # D80
}
XML_ANSWERS: dict[str, Callable[[], Element]] = {
    "flavors.detail": lambda: _around("flavors", "flavors.show"),  # D50
    "floating_ips.list": lambda: _with_pool_in_xml("floating_ips.list"),  # D80
    "floating_ips.allocate": lambda: _with_pool_in_xml("floating_ips.allocate"),  # D80
    "floating_ips.show": lambda: _with_pool_in_xml("floating_ips.show"),  # D80
}
#: The printed JSON is that of the answer.
JSON_REQUESTS = {"servers.action.getConsoleOutput": '{"os-getConsoleOutput": {"length": 50}}'}


def _around(root: str, operation_id: str) -> Element:
    """A list of the item that another operation shows."""
    item = _parsed(OPERATIONS[operation_id])
    made = etree.Element(item.tag.replace(etree.QName(item).localname, root))
    made.append(item)
    return made


def _parsed(operation: Operation) -> Element:
    assert operation.xml_answer is not None
    return etree.fromstring(operation.xml_answer.encode())


def json_example(operation: Operation) -> Any:
    """The JSON answer that is right; None where there is no body."""
    if operation.id in JSON_ANSWERS:
        return JSON_ANSWERS[operation.id]()
    return json.loads(operation.json_answer) if operation.json_answer else None


def xml_example(operation: Operation) -> Element | None:
    """The XML answer that is right; None where there is no body."""
    if operation.id in XML_ANSWERS:
        return XML_ANSWERS[operation.id]()
    return _parsed(operation) if operation.xml_answer else None


def request(operation: Operation, *, xml: bool) -> bytes:
    """The request that the reference prints, byte for byte."""
    text = operation.xml_request if xml else JSON_REQUESTS.get(operation.id, operation.json_request)
    assert text is not None
    return text.encode()
