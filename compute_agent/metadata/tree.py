"""The EC2 metadata tree of one server (wire notes 5.2, R197-R203). Pure: a record and a path in.

Every item is served under every version. Only what can be known from the server's own record is
here; ``mpi/`` therefore lists the server itself, not its tenant's others on other hosts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

from db.wanted import WantedServer

VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "latest",
)

Node: TypeAlias = "str | Directory"


@dataclass(frozen=True, slots=True)
class Directory:
    """Named nodes; ``titles`` says how a name is listed when not by itself, as ``0=mykey``."""

    nodes: Mapping[str, Node]
    titles: Mapping[str, str] | None = None

    def listing(self) -> str:
        """Sorted names, one a line, no final line feed; names with children end in a slash."""
        return "\n".join(self._title(name) for name in sorted(self.nodes))

    def _title(self, name: str) -> str:
        if self.titles and name in self.titles:
            return self.titles[name]
        return f"{name}/" if isinstance(self.nodes[name], Directory) else name


@dataclass(frozen=True, slots=True)
class Answer:
    """A body to be sent with status 200."""

    body: bytes
    content_type: str = "text/plain"


def answer(server: WantedServer, path: str) -> Answer | None:
    """What ``path``, as it came in the request line, holds for the server; None for 404.

    Empty segments and a trailing slash mean nothing.
    """
    node: Node = root(server)
    for segment in path.partition("?")[0].split("/"):
        if not segment:
            continue
        if not isinstance(node, Directory):
            return None
        found = node.nodes.get(unquote(segment))
        if found is None:
            return None
        node = found
    return Answer((node.listing() if isinstance(node, Directory) else node).encode())


def root(server: WantedServer) -> Directory:
    """Everything, by version."""
    version = Directory({"meta-data": meta_data(server)})
    return Directory(dict.fromkeys(VERSIONS, version), titles={name: name for name in VERSIONS})


def meta_data(server: WantedServer) -> Directory:
    """The items of ``meta-data/``."""
    domain = server.network.domain
    host_name = f"{server.hostname}.{domain}" if domain else server.hostname
    nodes: dict[str, Node] = {
        "ami-id": f"ami-{server.image.id:08x}",
        "ami-launch-index": str(server.launch_index),
        "ami-manifest-path": "FIXME",
        "block-device-mapping": _block_devices(server),
        "hostname": host_name,
        "instance-action": "none",
        "instance-id": server.ec2_id,
        "instance-type": server.flavor_name,
        "local-hostname": host_name,
        "local-ipv4": server.fixed_address,
        "mpi": _mpi(server),
        "placement": Directory({"availability-zone": server.zone}),
        "public-hostname": host_name,
        "public-ipv4": server.public_addresses[0] if server.public_addresses else "",
        "reservation-id": server.reservation_id,
        "security-groups": "\n".join(server.security_groups),
    }
    if server.kernel is not None:
        nodes["kernel-id"] = f"aki-{server.kernel.id:08x}"
    if server.ramdisk is not None:
        nodes["ramdisk-id"] = f"ari-{server.ramdisk.id:08x}"
    if server.public_key is not None:
        keys = {"0": Directory({"openssh-key": server.public_key.strip()})}
        nodes["public-keys"] = Directory(keys, titles={"0": f"0={server.key_name or ''}"})
    return Directory(nodes)


def _block_devices(server: WantedServer) -> Directory:
    """Disks under the names that the guest's domain gives them."""
    nodes: dict[str, Node] = {"ami": "vda", "root": "/dev/vda"}
    if server.disk_gb:
        nodes["ephemeral0"] = "/dev/vdb"
    return Directory(nodes)


def _mpi(server: WantedServer) -> Directory:
    """Slots by name of the key; a name that no path or line can hold is left out."""
    name = server.key_name
    if not name or "/" in name or "\n" in name:
        return Directory({})
    return Directory({name: f"{server.fixed_address} slots={server.vcpus}"})
