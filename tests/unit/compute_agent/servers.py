"""A wanted server for tests of the agent."""

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from compute_agent.disks.room import Room
from db.wanted import WantedImage, WantedNetwork, WantedServer

IMAGE = WantedImage(
    id=7, checksum="a" * 64, disk_format="raw", size=1024 * 1024, virtual_size=1024 * 1024
)
NETWORK = WantedNetwork(
    id=1,
    name="private",
    cidr="10.0.0.0/16",
    gateway="10.0.0.1",
    gateway_mac="02:00:00:00:00:01",
    dns="",
    domain="novalocal",
)
SERVER = WantedServer(
    id=42,
    uuid="11111111-2222-4333-8444-555555555555",
    tenant_id="1",
    generation=3,
    name="first",
    hostname="first",
    zone="az-1.region-a.geo-1",
    reservation_id="r-00000001",
    launch_index=0,
    flavor_name="lab.tiny",
    vcpus=1,
    ram_mb=128,
    root_gb=0,
    disk_gb=0,
    image=IMAGE,
    kernel=None,
    ramdisk=None,
    network=NETWORK,
    mac="02:16:3e:00:00:2a",
    fixed_address="10.0.0.10",
)


def make_server(**changes: Any) -> WantedServer:
    """A server with the given fields, the others as above."""
    return replace(SERVER, **changes)


def make_image(path: Path, layout: str) -> WantedImage:
    """The record of a file that is an image."""
    words = ["qemu-img", "info", "-f", layout, "--output", "json", str(path)]
    facts = json.loads(subprocess.check_output(words, timeout=30))
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    return WantedImage(8, checksum, layout, path.stat().st_size, facts["virtual-size"])


def roomy(directory: Path) -> Room:
    """Room for more than any test needs."""
    return Room(directory, 1 << 40, 1 << 40, set)
