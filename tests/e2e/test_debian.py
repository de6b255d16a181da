"""A real Debian 12 with cloud-init: both of its data sources (reference 2.1.5.3, R204-R206).

The boots take a minute and a half under emulation, so they run side by side, and all tests look at
the same three guests.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tests import actions
from tests.e2e.test_servers import addresses, host_of, ssh_to
from tests.lab import Client, Lab, eventually

BOOT = 600.0  # seconds
SLOW = 180.0  # seconds for one command, on a machine that does much else
ROOT_GB = 3
DATA = bytes(range(256)) * 8
SCRIPT = b"#!/bin/sh\nid -un > /var/lib/user-data-ran\n"
ENDED = re.compile(r"Cloud-init .* finished at")
PUBLIC = "authorized_keys"
METADATA = {"role": "test", "public-keys": "none"}  # in meta.js, cloud-init would take these keys

pytestmark = pytest.mark.timeout(900)

Guests = dict[str, dict[str, Any]]


def ssh(lab: Lab, server: dict[str, Any], command: str, user: str = "root") -> str:
    """Output of a command in the guest, which is slow: more than one try to get in is needed."""

    def try_it() -> tuple[str] | None:
        try:
            return (ssh_to(lab, host_of(lab, server), addresses(server)[0], command, user),)
        except (AssertionError, subprocess.TimeoutExpired):
            return None

    return eventually(try_it, f"{command!r} in {server['name']}", SLOW)[0]


@pytest.fixture(scope="module")
def image(client: Client) -> str:
    """Id of the Debian image, which ``deploy/test`` has in its lab."""
    images = client.http.get("/images").json()["images"]
    found = next((str(entry["id"]) for entry in images if entry["name"] == "debian"), None)
    if found is None:
        pytest.skip("needs the Debian image: deploy/up --image debian")
    return found


@pytest.fixture(scope="module")
def flavor(lab: Lab) -> Iterator[int]:
    """A flavor with an ephemeral disk, in a zone that makes root disks larger than the image."""
    words = ("zone", "list", "--format", "json")
    zones = {entry["name"]: entry for entry in json.loads(lab.undercast(*words))}
    zone = lab.settings["zone"]
    lab.undercast("flavor", "create", "lab.debian", "--id", "3", "--vcpus", "1", "--ram", "512",
                  "--disk", "1", "--if-missing")  # fmt: skip
    lab.undercast("zone", "set", zone, "--root-gb", str(ROOT_GB))
    yield 3
    lab.undercast("zone", "set", zone, "--root-gb", str(zones[zone]["root_gb"]))


@pytest.fixture(scope="module")
def guests(lab: Lab, client: Client, keypair: str, image: str, flavor: int) -> Iterator[Guests]:
    """Booting servers: by the metadata service, and with a drive of either layout."""

    def create(name: str, **more: Any) -> dict[str, Any]:
        made = client.create(
            f"debian-{name}", flavorRef=flavor, imageRef=image, key_name=keypair,
            user_data=b64encode(SCRIPT).decode(), metadata=METADATA,
            personality=[{"path": "/opt/Data File", "contents": b64encode(DATA).decode()}], **more,
        )  # fmt: skip
        server = client.settled(made["id"])
        assert server is not None
        return server

    found = {"ec2": create("ec2"), "drive": create("drive", config_drive=True)}
    with drives_of_both_layouts(lab):
        found["both"] = create("both", config_drive=True)
    yield found
    client.delete_all()


@contextmanager
def drives_of_both_layouts(lab: Lab) -> Iterator[None]:
    """The operator of both hosts chose that setting."""

    def restart() -> None:
        for host in lab.hosts:
            lab.supervisor("restart", "agent", host=host)
        lab.await_hosts()

    files = [lab.state / "hosts" / host / "undercast.toml" for host in lab.hosts]
    before = [file.read_text() for file in files]
    try:
        for file, text in zip(files, before, strict=True):
            file.write_text(f'config_drive_layout = "both"\n{text}')
        restart()
        yield
    finally:
        for file, text in zip(files, before, strict=True):
            file.write_text(text)
        restart()


@pytest.fixture(params=["ec2", "drive", "both"])
def guest(client: Client, guests: Guests, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each guest, once cloud-init says on its console that it has ended."""
    server = guests[request.param]
    assert server["status"] == "ACTIVE", server

    def ended() -> bool:
        time.sleep(1)  # guests need the processors more than this look
        return bool(ENDED.search(actions.console(client, server["id"])))

    eventually(ended, f"cloud-init of {server['name']} has ended", BOOT)
    return server


def source(lab: Lab, server: dict[str, Any]) -> str:
    result = json.loads(ssh(lab, server, "cat /run/cloud-init/result.json"))
    assert result["v1"]["errors"] == []
    found: str = result["v1"]["datasource"]
    return found.split(maxsplit=1)[0]


def lines(lab: Lab, server: dict[str, Any], path: str) -> Sequence[str]:
    return ssh(lab, server, f"cat {path}").splitlines()


def test_r204_r205_r206_everything_arrives(lab: Lab, guest: dict[str, Any]) -> None:
    """Host name, keys of both users, script, ephemeral disk, whole root; by whichever source."""
    assert ssh(lab, guest, "cloud-init status --wait").lstrip(".\n") == "status: done"
    name = guest["name"]
    assert (
        source(lab, guest)
        == {
            "debian-ec2": "DataSourceEc2",
            "debian-drive": "DataSourceEc2",  # a drive of layout 1 passes on (wire notes 5.5)
            "debian-both": "DataSourceConfigDrive",
        }[name]
    )
    assert ssh(lab, guest, "hostname") == name
    served = ssh(lab, guest, "curl -s http://169.254.169.254/latest/meta-data/hostname")
    assert served.partition(".")[0] == name
    public = lab.key.with_suffix(".pub").read_text().strip()
    for home in ("/root", "/home/debian"):
        assert public in lines(lab, guest, f"{home}/.ssh/{PUBLIC}")
    assert ssh(lab, guest, "sudo id -u", user="debian") == "0"
    assert ssh(lab, guest, "cat /var/lib/user-data-ran") == "root"
    assert ssh(lab, guest, "findmnt -no SOURCE,FSTYPE /mnt").split() == ["/dev/vdb", "ext4"]
    assert ssh(lab, guest, "lsblk -no LABEL /dev/vdb") == "ephemeral0"
    size = int(ssh(lab, guest, "df --output=size -B1M / | tail -1"))
    assert size > ROOT_GB * 1024 * 0.9


def test_what_is_injected_is_where_it_belongs(lab: Lab, guest: dict[str, Any]) -> None:
    """R186, R194: in the root, or on the drive, byte for byte."""
    has_drive = guest["config_drive"] == "1"
    place = "/drive" if has_drive else ""
    if has_drive:
        ssh(lab, guest, "mkdir -p /drive; mountpoint -q /drive || mount -r /dev/vdc /drive")
        label = ssh(lab, guest, "lsblk -no LABEL /dev/vdc")
        assert label == ("config-2" if guest["name"] == "debian-both" else "config")
    assert ssh(lab, guest, f"base64 -w0 '{place}/opt/Data File'") == b64encode(DATA).decode()
    assert json.loads(ssh(lab, guest, f"cat {place}/meta.js")) == METADATA
    if guest["name"] == "debian-both":  # cloud-init writes the files that the drive names
        assert ssh(lab, guest, "base64 -w0 '/opt/Data File'") == b64encode(DATA).decode()
