"""The generated domain, parsed and compared."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from compute_agent.domain.virtualization import (
    CGROUP_V1,
    CGROUP_V2,
    CpuShares,
    DomainType,
    HostAbilities,
)
from compute_agent.domain.xml import CMDLINE, NAMESPACE, GuestFiles, domain_xml, marked_id
from compute_agent.metadata import ec2
from compute_agent.metadata.nodes import find
from tests.unit.compute_agent.servers import make_server

FILES = GuestFiles(
    root_disk=Path("/s/42/root.qcow2"), base=Path("/i/aa"), console_log=Path("/s/42/console.log")
)
DIRECT = GuestFiles(
    root_disk=FILES.root_disk,
    base=FILES.base,
    console_log=FILES.console_log,
    ephemeral_disk=Path("/s/42/ephemeral.qcow2"),
    kernel=Path("/i/kk"),
    ramdisk=Path("/i/rr"),
)


def parsed(
    files: GuestFiles = FILES,
    domain_type: DomainType = "qemu",
    cpu_shares: CpuShares | None = CGROUP_V1,
    **changes: Any,
) -> ET.Element:
    host = HostAbilities(domain_type, cpu_shares, "192.168.50.11")
    return ET.fromstring(domain_xml(make_server(**changes), files, host, "pw123456"))


def attributes(domain: ET.Element, path: str) -> dict[str, str]:
    element = domain.find(path)
    assert element is not None, path
    return element.attrib


def test_identity() -> None:
    domain = parsed()
    assert domain.findtext("name") == "i-0000002a"
    assert domain.findtext("uuid") == make_server().uuid
    mark = domain.find(f"metadata/{{{NAMESPACE}}}server")
    assert mark is not None
    assert mark.attrib == {"id": "42", "generation": "3"}
    assert marked_id(ET.tostring(mark, encoding="unicode")) == 42


def test_metadata_names_the_disks_as_the_domain_does() -> None:
    """Wire notes 5.2: ``block-device-mapping/`` is what the guest finds."""
    targets = [disk.attrib["dev"] for disk in parsed(DIRECT, disk_gb=1).iterfind(".//disk/target")]
    devices = ec2.meta_data(make_server(disk_gb=1))["block-device-mapping"]
    named = {name: answer.body.decode() for name in ("ami", "root", "ephemeral0")
             if (answer := find(devices, name))}  # fmt: skip
    root, ephemeral = targets
    assert named == {"ami": root, "root": f"/dev/{root}", "ephemeral0": f"/dev/{ephemeral}"}


def test_size() -> None:
    domain = parsed(vcpus=4, ram_mb=8192)
    assert (domain.findtext("memory"), attributes(domain, "memory")) == ("8192", {"unit": "MiB"})
    assert domain.findtext("vcpu") == "4"
    assert domain.findtext("cputune/shares") == "4096"
    assert parsed(cpu_shares=None).find("cputune") is None


def test_shares_grow_with_the_flavor_as_far_as_the_kernel_takes_them() -> None:
    assert parsed(cpu_shares=CGROUP_V2, vcpus=4).findtext("cputune/shares") == "400"
    assert parsed(cpu_shares=CGROUP_V2, vcpus=200).findtext("cputune/shares") == "10000"
    assert parsed(cpu_shares=CGROUP_V1, vcpus=300).findtext("cputune/shares") == "262144"


def test_r193_config_drive_is_the_last_disk_and_only_read() -> None:
    drive = replace(DIRECT, config_drive=Path("/s/42/config.raw"))
    disks = parsed(drive).findall("devices/disk")
    assert [disk.findtext("serial") for disk in disks] == ["root", "ephemeral0", "config-drive"]
    assert attributes(disks[-1], "driver")["type"] == "raw"
    assert attributes(disks[-1], "target") == {"dev": "vdz", "bus": "virtio"}
    assert [disk.find("readonly") is not None for disk in disks] == [False, False, True]


def test_kernel_of_the_image_boots_directly() -> None:
    domain = parsed(DIRECT)
    assert domain.findtext("os/kernel") == "/i/kk"
    assert domain.findtext("os/initrd") == "/i/rr"
    assert domain.findtext("os/cmdline") == CMDLINE
    assert domain.find("os/boot") is None


def test_disk_without_kernel_boots_itself() -> None:
    domain = parsed()
    assert domain.find("os/kernel") is None
    assert attributes(domain, "os/boot") == {"dev": "hd"}


def test_formats_of_all_disks_are_stated() -> None:
    """Security 4: nothing is left to probe."""
    disks = parsed(DIRECT).findall("devices/disk")
    assert [attributes(disk, "source")["file"] for disk in disks] == [
        "/s/42/root.qcow2",
        "/s/42/ephemeral.qcow2",
    ]
    assert [attributes(disk, "target")["dev"] for disk in disks] == ["vda", "vdb"]
    assert {attributes(disk, "driver")["type"] for disk in disks} == {"qcow2"}
    root, ephemeral = disks
    assert attributes(root, "backingStore/format") == {"type": "raw"}
    assert attributes(root, "backingStore/source") == {"file": "/i/aa"}
    assert attributes(root, "backingStore/backingStore") == {}
    assert attributes(ephemeral, "backingStore") == {}


def test_interface_is_the_guarded_tap() -> None:
    domain = parsed()
    assert attributes(domain, "devices/interface") == {"type": "ethernet"}
    assert attributes(domain, "devices/interface/target") == {"dev": "tap-2a", "managed": "no"}
    assert attributes(domain, "devices/interface/mac") == {"address": make_server().mac}
    assert len(domain.findall("devices/interface")) == 1


def test_console_is_logged() -> None:
    assert attributes(parsed(), "devices/serial/log") == {
        "file": "/s/42/console.log",
        "append": "on",
    }


def test_vnc_listens_on_the_management_address_with_a_password() -> None:
    graphics = attributes(parsed(), "devices/graphics")
    assert graphics["passwd"] == "pw123456"
    assert attributes(parsed(), "devices/graphics/listen")["address"] == "192.168.50.11"


def test_what_happens_when_a_guest_ends() -> None:
    domain = parsed()
    ends = [domain.findtext(f"on_{event}") for event in ("poweroff", "reboot", "crash")]
    assert ends == ["destroy", "restart", "destroy"]


@pytest.mark.parametrize(("domain_type", "mode"), [("kvm", "host-model"), ("qemu", "custom")])
def test_processor(domain_type: DomainType, mode: str) -> None:
    domain = parsed(domain_type=domain_type)
    assert domain.get("type") == domain_type
    assert attributes(domain, "cpu")["mode"] == mode
    emulated = domain_type == "qemu"
    assert domain.findtext("features/tcg/tb-cache") == ("32" if emulated else None)


def test_a_large_guest_emulated_has_room_for_its_translated_code() -> None:
    """A Debian in 512 MB filled 32 MiB over a hundred times while it booted."""
    domain = parsed(domain_type="qemu", ram_mb=512)
    assert domain.findtext("features/tcg/tb-cache") == "128"


def test_text_of_clients_cannot_become_markup() -> None:
    hostile = "</name><devices><hostdev/>&"
    domain = parsed(name=hostile, metadata={hostile: hostile}, mac=f"'\"{hostile}")
    assert domain.find(".//hostdev") is None
    assert attributes(domain, "devices/interface/mac")["address"] == f"'\"{hostile}"
