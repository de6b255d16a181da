"""What libvirt and the guest say of a running server's domain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.e2e.test_actions import running
from tests.e2e.test_servers import host_of, ssh
from tests.lab import Client, Lab, eventually

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(scope="module")
def server(lab: Lab, client: Client, keypair: str) -> Iterator[dict[str, Any]]:
    """A running server with all kinds of disks."""
    lab.undercast(
        "flavor", "create", "lab.two-disks", "--id", "2", "--vcpus", "1", "--ram", "128",
        "--disk", "1", "--if-missing",
    )  # fmt: skip
    made = running(lab, client, keypair, "e2e-domain", flavorRef=2, config_drive=True)
    yield made
    client.delete(made["id"])
    eventually(lambda: client.show(made["id"]) is None, "the server is gone")


def virsh(lab: Lab, server: dict[str, Any], command: str, *words: str) -> str:
    """Ask the libvirtd of the server's host about its domain."""
    return lab.on(host_of(lab, server), "virsh", "-q", command, f"i-{server['id']:08x}", *words)


def test_devices_are_those_of_virtio(lab: Lab, server: dict[str, Any]) -> None:
    """Disk, network, random numbers, balloon with statistics; what the guest sees of them."""
    domain = ET.fromstring(virsh(lab, server, "dumpxml"))
    assert {disk.get("bus") for disk in domain.iterfind("devices/disk/target")} == {"virtio"}
    assert [model.get("type") for model in domain.iterfind("devices/interface/model")] == ["virtio"]
    serials = [ssh(lab, server, f"cat /sys/block/{name}/serial") for name in ("vda", "vdb")]
    assert serials == ["root", "ephemeral0"]
    assert ssh(lab, server, "findfs LABEL=ephemeral0") == "/dev/vdb"
    assert ssh(lab, server, "cat /sys/class/misc/hw_random/rng_current").startswith("virtio_rng")
    assert "available" in virsh(lab, server, "dommemstat")


def test_the_guest_agents_channel_is_there(lab: Lab, server: dict[str, Any]) -> None:
    domain = ET.fromstring(virsh(lab, server, "dumpxml"))
    target = domain.find("devices/channel/target")
    assert target is not None
    assert (target.get("name"), target.get("state")) == ("org.qemu.guest_agent.0", "disconnected")


def test_vnc_listens_on_the_management_address_with_a_password(
    lab: Lab, server: dict[str, Any]
) -> None:
    """Nobody but root can read the password."""
    host = host_of(lab, server)
    secret = ET.fromstring(virsh(lab, server, "dumpxml", "--security-info"))
    graphics = secret.find("devices/graphics")
    assert graphics is not None
    assert len(graphics.get("passwd", "")) == 8
    port = graphics.get("port", "")
    listening = lab.on(host, "ss", "-Htln", f"sport = :{port}").split()
    assert re.fullmatch(rf"192\.168\.\d+\.\d+:{port}", listening[3])
    assert "passwd" not in virsh(lab, server, "dumpxml")
    for log in (lab.state / "hosts" / host / "log").glob("*"):
        assert graphics.get("passwd", "").encode() not in log.read_bytes(), log


def test_shares_are_the_flavors_where_the_host_has_cgroups(
    lab: Lab, server: dict[str, Any]
) -> None:
    shares = virsh(lab, server, "schedinfo")
    found = re.search(r"cpu_shares\s*:\s*(\d+)", shares)
    assert found is not None, shares
    assert int(found[1]) in (1024, 100)


def test_emulation_where_the_processor_cannot_virtualize(lab: Lab, server: dict[str, Any]) -> None:
    """KVM where it can: the host decides."""
    domain = ET.fromstring(virsh(lab, server, "dumpxml"))
    host = host_of(lab, server)
    flags = lab.on(host, "cat", "/proc/cpuinfo")
    can = bool(re.search(r"^flags.*\b(vmx|svm)\b", flags, re.MULTILINE))
    assert domain.get("type") == ("kvm" if can else "qemu")
