"""Everything that one server can read of itself: the EC2 tree and the OpenStack tree."""

from __future__ import annotations

from compute_agent.metadata import ec2, nodes
from compute_agent.metadata.nodes import BYTES, JSON, Directory, Leaf
from compute_agent.metadata.openstack import openstack_tree
from db.wanted import WantedServer


def root(server: WantedServer) -> Directory:
    """The tree; its own listing and those of ``/openstack`` hold versions only."""
    version = ec2.version(server)
    openstack = _openstack(server)
    return Directory(
        {**dict.fromkeys(ec2.VERSIONS, version), "openstack": openstack},
        titles={name: name for name in ec2.VERSIONS},
        hidden=frozenset({"openstack"}),
    )


def _openstack(server: WantedServer) -> Directory:
    files = {
        path.removeprefix("openstack/"): Leaf(body, JSON if path.endswith(".json") else BYTES)
        for path, body in openstack_tree(server).items()
    }
    found = nodes.tree_of(files).nodes
    return Directory(found, titles={name: name for name in found}, hidden=frozenset({"content"}))


def answer(server: WantedServer, path: str) -> Leaf | None:
    """What ``path``, as it came in the request line, holds for the server; None for 404."""
    return nodes.find(root(server), path)
