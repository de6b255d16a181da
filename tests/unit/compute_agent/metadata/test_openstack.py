"""The OpenStack metadata tree (wire notes 5.3)."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from compute_agent.metadata.nodes import Leaf
from compute_agent.metadata.openstack import openstack_tree
from compute_agent.metadata.tree import answer
from db.wanted import WantedFile, WantedServer
from tests.unit.compute_agent.servers import make_server

CONTENTS = (b"first\x00\xff", b"")
SERVER = make_server(
    name="My Server",
    hostname="my-server",
    launch_index=2,
    key_name="demo",
    public_key="ssh-rsa AAAA demo\n",
    metadata={"role": "web", "ключ": "значение"},
    user_data=b64encode(b"\x00data").decode(),
    files=tuple(
        WantedFile(path, b64encode(data).decode())
        for path, data in zip(("/etc/one", "/etc/two"), CONTENTS, strict=True)
    ),
)
BARE = make_server()
SHOWN = {
    "uuid": "11111111-2222-4333-8444-555555555555",
    "name": "My Server",
    "hostname": "my-server.novalocal",
    "launch_index": 2,
    "availability_zone": "az-1.region-a.geo-1",
    "meta": {"role": "web", "ключ": "значение"},
    "public_keys": {"demo": "ssh-rsa AAAA demo"},
}


def read(path: str, server: WantedServer = SERVER) -> str | None:
    found = answer(server, path)
    return None if found is None else found.body.decode()


def meta_data(server: WantedServer) -> dict[str, Any]:
    found = answer(server, "/openstack/latest/meta_data.json")
    assert found is not None
    assert found.content_type == "application/json"
    shown: dict[str, Any] = json.loads(found.body)
    return shown


@pytest.mark.parametrize("path", ["/openstack", "/openstack/"])
def test_versions(path: str) -> None:
    """Not listed beside the EC2 versions: 5.2 says what is."""
    assert read(path) == "2012-08-10\nlatest"
    assert "openstack" not in (read("/") or "")


@pytest.mark.parametrize("version", ["2012-08-10", "latest"])
def test_each_version_holds_the_same(version: str) -> None:
    base = f"/openstack/{version}"
    assert read(f"{base}/") == "meta_data.json\nuser_data"
    assert read(base, BARE) == "meta_data.json"
    assert read(f"{base}/meta_data.json") == read("/openstack/latest/meta_data.json")
    assert answer(SERVER, f"{base}/user_data") == Leaf(b"\x00data", "application/octet-stream")
    assert answer(BARE, f"{base}/user_data") is None


def test_meta_data() -> None:
    assert meta_data(SERVER) == SHOWN


def test_what_is_empty_is_left_out() -> None:
    assert set(meta_data(BARE)) == {"uuid", "name", "hostname", "launch_index", "availability_zone"}


def test_contents_of_files() -> None:
    for number, data in enumerate(CONTENTS):
        found = answer(SERVER, f"/openstack/content/000{number}")
        assert found == Leaf(data, "application/octet-stream")


@pytest.mark.parametrize(
    "path",
    [
        "/openstack/2011-01-01",
        "/openstack/1.0/meta_data.json",
        "/openstack/latest/meta-data",
        "/openstack/latest/meta_data.json/uuid",
        "/openstack/content/0002",
        "/openstack/content/0",
        "/openstack/content/0000/more",
        "/latest/meta_data.json",
    ],
)
def test_what_does_not_exist(path: str) -> None:
    assert answer(SERVER, path) is None


def test_a_drive_names_the_files_too() -> None:
    tree = openstack_tree(SERVER, drive=True)
    files = [
        {"path": "/etc/one", "content_path": "/content/0000"},
        {"path": "/etc/two", "content_path": "/content/0001"},
    ]
    for version in ("2012-08-10", "latest"):
        shown = json.loads(tree.pop(f"openstack/{version}/meta_data.json"))
        assert shown == {**SHOWN, "files": files}
        assert tree.pop(f"openstack/{version}/user_data") == b"\x00data"
    assert tree == {f"openstack/content/000{n}": data for n, data in enumerate(CONTENTS)}
    bare = json.loads(openstack_tree(BARE, drive=True)["openstack/latest/meta_data.json"])
    assert "files" not in bare
