"""Servers."""

import hashlib
from dataclasses import dataclass
from typing import Any

from api.wire.links import Links
from api.wire.view import timestamp
from db.queries.servers import ServerBrief, ServerDetail

Addresses = dict[str, list[dict[str, Any]]]


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
