"""The EC2 metadata of one server (wire notes 5.2, R197-R203). Pure: a record in.

Every item is served under every version. Only what stands in the server's own record is here, so
that a host answers from its own files.

A listing must name nothing that cannot be read: one 404 empties the whole crawl of a guest (D90).
So user data is listed only where there is some, and below ``meta-data/`` it can be read but is not
listed (D57).
"""

from __future__ import annotations

from typing import Any

import orjson

from compute_agent.metadata.nodes import BYTES, Directory, Leaf, Node, text
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
DRIVE_VERSIONS = VERSIONS[-2:]
USER_DATA = "user-data"


def full_host_name(server: WantedServer) -> str:
    """Host name with the zone's domain, if it has one; the guest takes it (R205)."""
    domain = server.network.domain
    return f"{server.hostname}.{domain}" if domain else server.hostname


def version(server: WantedServer) -> Directory:
    """What every version holds: ``meta-data/`` and the user data."""
    items = meta_data(server)
    if server.user_data is None:
        return Directory({"meta-data": Directory(items)})
    data = Leaf(server.user_data_bytes, BYTES)
    hidden = Directory({**items, USER_DATA: data}, hidden=frozenset({USER_DATA}))
    return Directory({"meta-data": hidden, USER_DATA: data})


def ec2_tree(server: WantedServer) -> dict[str, bytes]:
    """Files of a config drive by path, as ``ec2/latest/meta-data.json`` (wire notes 5.5)."""
    data = _as_json(Directory(meta_data(server))) | {"security-groups": server.security_groups}
    files = {"meta-data.json": orjson.dumps(data)}
    if server.user_data is not None:
        files[USER_DATA] = server.user_data_bytes
    return {f"ec2/{v}/{name}": body for v in DRIVE_VERSIONS for name, body in files.items()}


def meta_data(server: WantedServer) -> dict[str, Node]:
    """The items of ``meta-data/``."""
    host_name = full_host_name(server)
    nodes: dict[str, Node] = {
        "ami-id": text(f"ami-{server.image.id:08x}"),
        "ami-launch-index": text(str(server.launch_index)),
        "ami-manifest-path": text("FIXME"),
        "block-device-mapping": _block_devices(server),
        "hostname": text(host_name),
        "instance-action": text("none"),
        "instance-id": text(server.ec2_id),
        "instance-type": text(server.flavor_name),
        "local-hostname": text(host_name),
        "local-ipv4": text(server.fixed_address),
        "mpi": _mpi(server),
        "placement": Directory({"availability-zone": text(server.zone)}),
        "public-hostname": text(host_name),
        "public-ipv4": text(server.public_addresses[0] if server.public_addresses else ""),
        "reservation-id": text(server.reservation_id),
        "security-groups": text("\n".join(server.security_groups)),
    }
    if server.kernel is not None:
        nodes["kernel-id"] = text(f"aki-{server.kernel.id:08x}")
    if server.ramdisk is not None:
        nodes["ramdisk-id"] = text(f"ari-{server.ramdisk.id:08x}")
    if server.public_key is not None:
        keys = {"0": Directory({"openssh-key": text(server.public_key.strip())})}
        nodes["public-keys"] = Directory(keys, titles={"0": f"0={server.key_name or ''}"})
    return nodes


def _block_devices(server: WantedServer) -> Directory:
    """Disks under the names that the guest's domain gives them."""
    nodes: dict[str, Node] = {"ami": text("vda"), "root": text("/dev/vda")}
    if server.disk_gb:
        nodes["ephemeral0"] = text("/dev/vdb")
    return Directory(nodes)


def _mpi(server: WantedServer) -> Directory:
    """Slots of the tenant's servers by name of their key, but for names that cannot be listed."""
    return Directory(
        {name: text("\n".join(lines)) for name, lines in server.mpi.items() if _fit(name)}
    )


def _fit(name: str) -> bool:
    """``/`` parts segments, a line feed parts names, ``=`` a number from the name that it has."""
    return bool(name) and name not in {".", ".."} and not set(name) & set("/=\n\r\0")


def _as_json(directory: Directory) -> dict[str, Any]:
    return {
        name: node.body.decode() if isinstance(node, Leaf) else _as_json(node)
        for name, node in directory.nodes.items()
    }
