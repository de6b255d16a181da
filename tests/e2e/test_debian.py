"""A real Debian 12 with cloud-init: both of its data sources (reference 2.1.5.3, R204-R206).

The boots take a minute and a half under emulation, so they run side by side, and all tests look at
the same three guests.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.test_servers import addresses, host_of, ssh, ssh_to
from tests.lab import Client, Lab, eventually

BOOT = 600.0  # seconds
ROOT_GB = 3
DATA = bytes(range(256)) * 8
SCRIPT = b"#!/bin/sh\nid -un > /var/lib/user-data-ran\n"
PUBLIC = "authorized_keys"

Guests = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def guests(lab: Lab, client: Client, keypair: str) -> Iterator[Guests]:
    """Booted servers: by the metadata service, and with a drive of either layout."""
    lab.deploy("up", "--no-server", "--image", "debian")
    zone, made = lab.settings["zone"], {}
    before = {entry["name"]: entry for entry in json.loads(lab.undercast(*_ZONES))}[zone]
    lab.undercast("flavor", "create", "lab.debian", "--id", "3", "--vcpus", "1", "--ram", "512",
                  "--disk", "1", "--if-missing")  # fmt: skip
    lab.undercast("zone", "set", zone, "--root-gb", str(ROOT_GB))
    images = client.http.get("/images").json()["images"]
    image = next(entry["id"] for entry in images if entry["name"] == "debian")

    def create(name: str, **more: Any) -> None:
        made[name] = client.create(
            f"debian-{name}", flavorRef=3, imageRef=image, key_name=keypair,
            user_data=b64encode(SCRIPT).decode(), metadata={"role": name},
            personality=[{"path": "/opt/Data File", "contents": b64encode(DATA).decode()}], **more,
        )  # fmt: skip

    create("ec2")
    create("drive", config_drive=True)
    with drives_of_both_layouts(lab):
        create("both", config_drive=True)
        found = {name: client.settled(server["id"]) for name, server in made.items()}
    lab.undercast("zone", "set", zone, "--root-gb", str(before["root_gb"]))
    yield {name: server for name, server in found.items() if server}
    client.delete_all()


_ZONES = ("zone", "list", "--format", "json")


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
def guest(lab: Lab, guests: Guests, request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each guest, once cloud-init has ended in it."""
    server = guests[request.param]
    assert server["status"] == "ACTIVE", server

    def ended() -> bool:
        try:
            return "status: done" in ssh(lab, server, "cloud-init status")
        except AssertionError:
            return False

    eventually(ended, f"cloud-init of {server['name']} is done", BOOT)
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
    login = ssh_to(lab, host_of(lab, guest), addresses(guest)[0], "sudo id -u", user="debian")
    assert login == "0"
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
    role = guest["name"].removeprefix("debian-")
    assert json.loads(ssh(lab, guest, f"cat {place}/meta.js")) == {"role": role}
    if guest["name"] == "debian-both":  # cloud-init writes the files that the drive names
        assert ssh(lab, guest, "base64 -w0 '/opt/Data File'") == b64encode(DATA).decode()
