"""Servers."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api.wire.links import Links
from api.wire.metadata import metadata_element
from api.wire.view import timestamp
from api.wire.xml import Element, compute, links
from db.queries.server_lists import ServerBrief
from db.queries.servers import ServerDetail

Addresses = dict[str, list[dict[str, Any]]]

SAMPLE = ServerDetail(
    id=233691, uuid="d1d5e151-2fed-4522-9e94-aae0ef3d5db0", tenant_id="36991859863737",
    user_id="13311562627589", name="server-name-1", flavor_id=100, image_id=120,
    key_name="key.pub", config_drive=True, vm_state="ACTIVE", task_state=None,
    created_at=datetime(2012, 10, 3, 5, 25, 25, tzinfo=UTC),
    updated_at=datetime(2012, 10, 3, 5, 26, 3, tzinfo=UTC), fault_code=None, fault_message=None,
    host="cmp1", metadata={"key-1": "value-1"}, security_groups=[{"id": 12091, "name": "default"}],
    fixed={"network": "private", "address": "10.2.90.87"}, public=["15.185.228.245"],
)  # fmt: skip
SAMPLE_BRIEF = ServerBrief(SAMPLE.id, SAMPLE.uuid, SAMPLE.name)


def status(server: ServerDetail) -> str:
    """The status text: state, and task in parentheses while one runs (R107, R108, D2)."""
    return f"{server.vm_state}({server.task_state})" if server.task_state else server.vm_state


def progress(server: ServerDetail) -> int | None:
    """100 for plain ACTIVE, 0 for plain BUILD, else none (R113, D32)."""
    return {"ACTIVE": 100, "BUILD": 0}.get(status(server))


def host_id(server: ServerDetail) -> str:
    """Name of the host that tells tenants nothing (R116, D33); "" until there is one."""
    if server.host is None:
        return ""
    return hashlib.sha224(f"{server.tenant_id}{server.host}".encode()).hexdigest()


def addresses(server: ServerDetail) -> Addresses:
    """Addresses by network: fixed, automatic public, floating (R142, R221, D41, D91)."""
    if server.fixed is None:
        return {}
    listed = [server.fixed["address"], *(server.public or [])]
    return {server.fixed["network"]: [{"addr": address, "version": 4} for address in listed]}


@dataclass(frozen=True, slots=True)
class ServerBriefView:
    """A server in the brief list (R137)."""

    server: ServerBrief
    links: Links

    def json(self) -> dict[str, Any]:
        """Members in JSON; the id is a number (D1)."""
        return {
            "id": self.server.id,
            "links": self.links.both("servers", self.server.id),
            "name": self.server.name,
            "uuid": self.server.uuid,
        }

    def xml(self, tag: str) -> Element:
        """Element with its links."""
        found = links(self.links.both("servers", self.server.id))
        return compute(tag, {"id": self.server.id, "name": self.server.name}, *found)


@dataclass(frozen=True, slots=True)
class ServerView:
    """A server, whole (R138, R141); with its password right after it was made (R133)."""

    server: ServerDetail
    links: Links
    admin_pass: str | None = None

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        server, links = self.server, self.links
        flavor, image = server.flavor_id, server.image_id
        members: dict[str, Any] = {
            "accessIPv4": "",
            "accessIPv6": "",
            "addresses": addresses(server),
            "config_drive": "1" if server.config_drive else "",  # D31
            "created": timestamp(server.created_at),
            "flavor": {"id": str(flavor), "links": [links.bookmark("flavors", flavor)]},
            "hostId": host_id(server),
            "id": server.id,
            "image": {"id": str(image), "links": [links.bookmark("images", image)]},
            "key_name": server.key_name,
            "links": links.both("servers", server.id),
            "metadata": server.metadata or {},
            "name": server.name,
            "security_groups": [self._group(group) for group in server.security_groups or []],
            "status": status(server),
            "tenant_id": server.tenant_id,
            "updated": timestamp(server.updated_at),
            "user_id": server.user_id,
            "uuid": server.uuid,
        }
        if (done := progress(server)) is not None:
            members["progress"] = done
        if self.admin_pass is not None:
            members["adminPass"] = self.admin_pass
        if server.vm_state == "ERROR" and server.fault_message:
            members["fault"] = {
                "code": server.fault_code or 500,
                "created": timestamp(server.updated_at),
                "message": server.fault_message,
            }
        return members

    def xml(self, tag: str) -> Element:
        """Scalars as attributes, the rest as children in the reference's order.

        A server without metadata has no element for it, as the reference's sample in 3.4 (R29).
        """
        members = self.json()
        attributes = {
            shown: members[name] for name, shown in _ATTRIBUTES.items() if name in members
        }
        fault, metadata = members.get("fault"), members["metadata"]
        return compute(
            tag,
            attributes,
            *links(members["links"]),
            *[_linked(kind, members[kind], "id") for kind in ("image", "flavor")],
            *([_fault_element(fault)] if fault else []),
            *([metadata_element("metadata", metadata)] if metadata else []),
            AddressesView(members["addresses"]).xml("addresses"),
            compute(
                "security_groups",
                None,
                *[_linked("security_group", g, "id", "name") for g in members["security_groups"]],
            ),
        )

    def _group(self, group: dict[str, Any]) -> dict[str, Any]:
        """A security group; its bookmark keeps the version (R36, D34)."""
        href = self.links.url("os-security-groups", group["id"])
        return {
            "id": group["id"],
            "links": [{"href": href, "rel": "bookmark"}],
            "name": group["name"],
        }


@dataclass(frozen=True, slots=True)
class AddressesView:
    """A server's addresses, all networks or one (R222)."""

    networks: Addresses

    def json(self) -> Addresses:
        """Lists by name of the network."""
        return self.networks

    def xml(self, tag: str) -> Element:
        """An element for each network."""
        shown = [NetworkView(*network).xml("network") for network in self.networks.items()]
        return compute(tag, None, *shown)


@dataclass(frozen=True, slots=True)
class NetworkView:
    """The addresses of one network (R222)."""

    name: str
    found: list[dict[str, Any]]

    def json(self) -> list[dict[str, Any]]:
        """The list of addresses."""
        return self.found

    def xml(self, tag: str) -> Element:
        """Element of the network with one for each address."""
        shown = [compute("ip", {key: ip[key] for key in ("addr", "version")}) for ip in self.found]
        return compute(tag, {"id": self.name}, *shown)


# Names in XML, in the reference's order (R143).
_ATTRIBUTES = {
    "accessIPv4": "accessIPv4", "accessIPv6": "accessIPv6", "adminPass": "adminPass",
    "created": "created", "hostId": "hostId", "id": "id", "name": "name", "progress": "progress",
    "status": "status", "tenant_id": "tenantId", "updated": "updated", "user_id": "userId",
    "uuid": "uuid",
}  # fmt: skip


def _linked(tag: str, members: dict[str, Any], *names: str) -> Element:
    return compute(tag, {name: members[name] for name in names}, *links(members["links"]))


def _fault_element(fault: dict[str, Any]) -> Element:
    attributes = {"code": fault["code"], "created": fault["created"]}
    return compute("fault", attributes, compute.leaf("message", fault["message"]))
