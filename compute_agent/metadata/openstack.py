"""The OpenStack metadata of one server (wire notes 5.3), as the service and a config drive have it.

Both are made of one mapping of files by path. Pure: a record in, bytes out.
"""

from __future__ import annotations

from typing import Any

import orjson

from compute_agent.metadata.ec2 import full_host_name
from db.wanted import WantedFile, WantedServer

VERSIONS = ("2012-08-10", "latest")


def openstack_tree(server: WantedServer, *, drive: bool = False) -> dict[str, bytes]:
    """Files by path, as ``openstack/latest/meta_data.json``.

    ``drive``: for a config drive, whose meta_data.json names the client's files.
    """
    version = {"meta_data.json": orjson.dumps(_meta_data(server, drive=drive))}
    if server.user_data is not None:
        version["user_data"] = server.user_data_bytes
    tree = {
        f"openstack/{number}/{name}": body for number in VERSIONS for name, body in version.items()
    }
    for number, file in enumerate(_files(server)):
        tree[f"openstack/{_content(number)}"] = file.data
    return tree


def _files(server: WantedServer) -> list[WantedFile]:
    """The client's files, the last one of each path."""
    return list({file.path: file for file in server.files}.values())


def _content(number: int) -> str:
    """Where the contents of the client's number-th file are."""
    return f"content/{number:04}"


def _meta_data(server: WantedServer, *, drive: bool) -> dict[str, Any]:
    """What is empty is left out. There is no ``network_config``: guests ask DHCP."""
    found: dict[str, Any] = {
        "uuid": server.uuid,
        "name": server.name,
        "hostname": full_host_name(server),
        "launch_index": server.launch_index,
        "availability_zone": server.zone,
    }
    if server.metadata:
        found["meta"] = server.metadata
    if server.public_key is not None:
        found["public_keys"] = {server.key_name or "": server.public_key.strip()}
    if drive and server.files:
        found["files"] = [
            {"path": file.path, "content_path": f"/{_content(number)}"}
            for number, file in enumerate(_files(server))
        ]
    return found
