"""The EC2 metadata tree (wire notes 5.2, R196-R203)."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace

import pytest

from compute_agent.metadata.ec2 import VERSIONS, ec2_tree
from compute_agent.metadata.nodes import Leaf
from compute_agent.metadata.tree import answer
from db.wanted import WantedServer
from tests.unit.compute_agent.servers import IMAGE, NETWORK, make_server

SERVER = make_server(
    key_name="demo",
    public_key="ssh-rsa AAAA demo\n",
    public_addresses=("15.185.16.2", "15.185.16.9"),
    security_groups=("default", "web"),
    launch_index=3,
    mpi={"demo": ("10.0.0.10 slots=1", "10.0.0.11 slots=4"), "key.pub": ("10.0.0.12 slots=2",)},
)


def text(path: str, server: WantedServer = SERVER) -> str | None:
    found = answer(server, path)
    return None if found is None else found.body.decode()


def test_versions_are_listed_without_final_line_feed() -> None:
    assert text("/") == "\n".join(VERSIONS)
    assert text("") == text("/")
    assert VERSIONS[-1] == "latest"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_serves_every_item(version: str) -> None:
    assert text(f"/{version}") == "meta-data/"
    assert text(f"/{version}/meta-data/") == text("/latest/meta-data")


def test_items_of_the_reference_are_listed_sorted() -> None:
    """R197: all of them, sorted as wire notes decide."""
    listed = (text("/latest/meta-data/") or "").split("\n")
    assert listed == sorted(listed)
    assert set(listed) == {
        "local-ipv4",
        "reservation-id",
        "local-hostname",
        "placement/",
        "ami-launch-index",
        "public-hostname",
        "mpi/",
        "hostname",
        "ami-id",
        "public-keys/",
        "instance-action",
        "public-ipv4",
        "block-device-mapping/",
        "ami-manifest-path",
        "security-groups",
        "instance-type",
        "instance-id",
    }


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("ami-id", "ami-00000007"),
        ("ami-launch-index", "3"),
        ("ami-manifest-path", "FIXME"),
        ("block-device-mapping/", "ami\nroot"),
        ("block-device-mapping/ami", "vda"),
        ("block-device-mapping/root", "/dev/vda"),
        ("hostname", "first.novalocal"),
        ("local-hostname", "first.novalocal"),
        ("public-hostname", "first.novalocal"),
        ("instance-action", "none"),
        ("instance-id", "i-0000002a"),
        ("instance-type", "lab.tiny"),
        ("local-ipv4", "10.0.0.10"),
        ("mpi/", "demo\nkey.pub"),
        ("mpi/demo", "10.0.0.10 slots=1\n10.0.0.11 slots=4"),
        ("mpi/key.pub", "10.0.0.12 slots=2"),
        ("placement/", "availability-zone"),
        ("placement/availability-zone", "az-1.region-a.geo-1"),
        ("public-ipv4", "15.185.16.2"),
        ("public-keys/", "0=demo"),
        ("public-keys/0", "openssh-key"),
        ("public-keys/0/", "openssh-key"),
        ("public-keys/0/openssh-key", "ssh-rsa AAAA demo"),
        ("reservation-id", "r-00000001"),
        ("security-groups", "default\nweb"),
    ],
)
def test_items(item: str, value: str) -> None:
    assert text(f"/latest/meta-data/{item}") == value


@pytest.mark.parametrize(
    "path",
    [
        "//latest///meta-data//instance-id",
        "/latest/meta-data/instance-id/",
        "/latest/meta%2Ddata/instance-id?x=/",
    ],
)
def test_empty_segments_mean_nothing(path: str) -> None:
    assert text(path) == "i-0000002a"


@pytest.mark.parametrize(
    "path",
    [
        "/2024-01-01",
        "/latest/other",
        "/latest/metadata",  # D58
        "/latest/user-data",
        "/latest/meta-data/nothing",
        "/latest/meta-data/instance-id/more",
        "/latest/meta-data/public-keys/1",
        "/latest/meta-data/public-keys/0=demo",
        "/latest/meta-data/../meta-data",
        "/latest/meta-data/kernel-id",
        "/latest/meta-data/block-device-mapping/ephemeral0",
        "/latest/meta-data%2Finstance-id",
    ],
)
def test_what_does_not_exist(path: str) -> None:
    """R203, and 404 for segments after a leaf."""
    assert answer(SERVER, path) is None


def test_without_a_key_there_are_no_keys() -> None:
    """R201; what is listed is there all the same."""
    keyless = make_server()
    assert "public-keys" not in (text("/latest/meta-data", keyless) or "")
    assert text("/latest/meta-data/public-keys/", keyless) is None
    assert text("/latest/meta-data/mpi/", keyless) == ""


def test_optional_items_appear_with_what_they_name() -> None:
    server = make_server(kernel=replace(IMAGE, id=8), ramdisk=replace(IMAGE, id=9), disk_gb=10)
    assert text("/latest/meta-data/kernel-id", server) == "aki-00000008"
    assert text("/latest/meta-data/ramdisk-id", server) == "ari-00000009"
    assert text("/latest/meta-data/block-device-mapping/", server) == "ami\nephemeral0\nroot"
    assert text("/latest/meta-data/block-device-mapping/ephemeral0", server) == "/dev/vdb"


def test_no_public_address_and_no_domain() -> None:
    server = make_server(network=replace(NETWORK, domain=""))
    assert text("/latest/meta-data/public-ipv4", server) == ""
    assert text("/latest/meta-data/hostname", server) == "first"


USER_DATA = b"#!/bin/sh\n\x00\xff echo \xc3\xa9\r\n"
WITH_DATA = replace(SERVER, user_data=b64encode(USER_DATA).decode())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", ["user-data", "meta-data/user-data", "user-data/"])
def test_user_data_unchanged_on_both_paths(version: str, path: str) -> None:
    """R202, D57: the bytes as they are, and the same without a trailing slash."""
    assert answer(WITH_DATA, f"/{version}/{path}") == Leaf(USER_DATA, "application/octet-stream")


def test_user_data_is_listed_beside_meta_data_only() -> None:
    """D57, D90: not inside it, and nowhere when there is none."""
    assert text("/latest", WITH_DATA) == "meta-data/\nuser-data"
    assert text("/latest/meta-data/", WITH_DATA) == text("/latest/meta-data/")
    assert text("/latest/") == "meta-data/"


@pytest.mark.parametrize("path", ["user-data", "meta-data/user-data"])
def test_without_user_data_there_is_none(path: str) -> None:
    assert answer(SERVER, f"/latest/{path}") is None


def test_everything_listed_can_be_read() -> None:
    """D90, as boto walks: into names that end in a slash, and ``0=name`` by its number."""

    def walk(path: str) -> None:
        listing = text(path)
        assert listing is not None
        for name in filter(None, listing.split("\n")):
            if name.endswith("/"):
                walk(f"{path}{name}")
            else:
                number, _, title = name.partition("=")
                assert text(f"{path}{number}{'/openssh-key' if title else ''}") is not None

    walk("/2009-04-04/meta-data/")


@pytest.mark.parametrize("name", ["a/b", "a\nb", "0=b", ".", "..", ""])
def test_names_that_no_path_can_hold_are_not_listed(name: str) -> None:
    server = make_server(mpi={name: ("10.0.0.1 slots=1",), "good": ("10.0.0.2 slots=2",)})
    assert text("/latest/meta-data/mpi/", server) == "good"


def test_a_name_with_a_blank_is_read_percent_encoded() -> None:
    """D46: names of keys may hold blanks and ``@``."""
    server = make_server(mpi={"my key@home": ("10.0.0.1 slots=1",)})
    assert text("/latest/meta-data/mpi/my%20key%40home", server) == "10.0.0.1 slots=1"


@pytest.mark.parametrize(
    "path",
    ["/%", "/%zz", "/%00", "/%ff%fe", "/latest/%2e%2e/latest", "/" + "a/" * 5000, "/" + "a" * 9000],
)
def test_odd_paths_are_not_there(path: str) -> None:
    assert answer(SERVER, path) is None


def test_drive_files() -> None:
    """Wire notes 5.5: the items as JSON, for both versions, beside the user data."""
    files = ec2_tree(WITH_DATA)
    assert set(files) == {
        f"ec2/{version}/{name}"
        for version in ("2009-04-04", "latest")
        for name in ("meta-data.json", "user-data")
    }
    assert files["ec2/latest/user-data"] == USER_DATA
    items = json.loads(files["ec2/latest/meta-data.json"])
    assert items["instance-id"] == "i-0000002a"
    assert items["block-device-mapping"] == {"ami": "vda", "root": "/dev/vda"}
    assert items["public-keys"] == {"0": {"openssh-key": "ssh-rsa AAAA demo"}}
    assert items["security-groups"] == ["default", "web"]
    assert set(ec2_tree(SERVER)) == {f"ec2/{v}/meta-data.json" for v in ("2009-04-04", "latest")}
