"""The libvirt domain of a server, generated from its record at every start.

Nothing is read from an older definition, so what a domain has is what the record says
(OSSA-2020-006). The XML is built as a tree: no text of a client is ever pasted into it.

Choices:

- A guest that powers off stays off; one whose machine crashes stays off too, and reconcile decides
  with the reason in hand (``on_crash`` restart would hide it).
- Disk formats are stated down to the cached base, so that libvirt and qemu probe nothing.
- Emulated guests get a processor that Linux distributions of today run on (x86-64-v2) without the
  five-level page tables of ``maximum``, and a small translation cache: hosts stay dense.
- No USB: its emulation keeps an idle guest's processor busy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

from compute_agent.domain.virtualization import HostAbilities
from db.wanted import WantedServer

#: Namespace of the metadata element that marks a domain as ours.
NAMESPACE = "urn:undercast:server:1"
CMDLINE = "root=/dev/vda console=tty0 console=ttyS0 net.ifnames=0"
EMULATED_CPU = "qemu64"  # AMD's: kernels take no measures against Meltdown, dear in emulation
EMULATED_FEATURES = ("ssse3", "sse4.1", "sse4.2", "popcnt")  # which make it x86-64-v2
LEAST_TRANSLATION_CACHE_MIB = 32
CONFIG_TARGET = "vdz"  # the last disk, after all volumes (wire notes 5.5)
BALLOON_PERIOD = 10  # seconds between memory statistics

ET.register_namespace("undercast", NAMESPACE)


@dataclass(frozen=True, slots=True)
class GuestFiles:
    """Files of this host that a guest uses."""

    root_disk: Path
    base: Path  # what the root disk is an overlay of
    console_log: Path
    ephemeral_disk: Path | None = None
    config_drive: Path | None = None
    kernel: Path | None = None
    ramdisk: Path | None = None


def domain_xml(
    server: WantedServer, files: GuestFiles, host: HostAbilities, vnc_password: str
) -> str:
    """Definition of the server's domain. ``vnc_password`` is kept in the domain only."""
    domain = Element("domain", type=host.domain_type)
    _text(domain, "name", server.ec2_id)
    _text(domain, "uuid", server.uuid)
    _mark(domain, server)
    _text(domain, "memory", str(server.ram_mb), unit="MiB")
    _text(domain, "vcpu", str(server.vcpus))
    if host.cpu_shares is not None:
        _text(_sub(domain, "cputune"), "shares", str(host.cpu_shares.of(server.vcpus)))
    _boot(domain, files)
    _processor(domain, server, host)
    _sub(domain, "clock", offset="utc")
    _text(domain, "on_poweroff", "destroy")
    _text(domain, "on_reboot", "restart")
    _text(domain, "on_crash", "destroy")
    _devices(_sub(domain, "devices"), server, files, host, vnc_password)
    return ET.tostring(domain, encoding="unicode")


def marked_id(metadata: str) -> int:
    """Server id in the metadata element of a domain. Raises ValueError when it is not ours."""
    element = ET.fromstring(metadata)  # noqa: S314 - written by this program, kept by libvirt
    return int(element.get("id", ""))


def _mark(domain: Element, server: WantedServer) -> None:
    """Say whose domain it is, by an element of our own."""
    mark = ET.SubElement(_sub(domain, "metadata"), f"{{{NAMESPACE}}}server")
    mark.set("id", str(server.id))
    mark.set("generation", str(server.generation))


def _boot(domain: Element, files: GuestFiles) -> None:
    """Boot a kernel of the image's, or what is on the disk."""
    os = _sub(domain, "os")
    _text(os, "type", "hvm", arch="x86_64", machine="pc")
    if files.kernel is None:
        _sub(os, "boot", dev="hd")
        return
    _text(os, "kernel", str(files.kernel))
    if files.ramdisk is not None:
        _text(os, "initrd", str(files.ramdisk))
    _text(os, "cmdline", CMDLINE)


def _processor(domain: Element, server: WantedServer, host: HostAbilities) -> None:
    features = _sub(domain, "features")
    _sub(features, "acpi")
    _sub(features, "apic")
    if host.domain_type == "kvm":
        _sub(domain, "cpu", mode="host-model")
        return
    cache = max(LEAST_TRANSLATION_CACHE_MIB, server.ram_mb // 4)
    _text(_sub(features, "tcg"), "tb-cache", str(cache), unit="MiB")
    cpu = _sub(domain, "cpu", mode="custom", match="exact", check="none")
    _text(cpu, "model", EMULATED_CPU, fallback="forbid")
    for name in EMULATED_FEATURES:
        _sub(cpu, "feature", policy="require", name=name)


def _devices(
    devices: Element,
    server: WantedServer,
    files: GuestFiles,
    host: HostAbilities,
    vnc_password: str,
) -> None:
    root = _disk(devices, files.root_disk, "vda", "root")
    backing = _sub(root, "backingStore", type="file")
    _sub(backing, "format", type=server.image.disk_format)
    _sub(backing, "source", file=str(files.base))
    _sub(backing, "backingStore")
    if files.ephemeral_disk is not None:
        disk = _disk(devices, files.ephemeral_disk, "vdb", "ephemeral0")
        _sub(disk, "backingStore")
    if files.config_drive is not None:
        drive = _disk(devices, files.config_drive, CONFIG_TARGET, "config-drive", "raw")
        _sub(drive, "readonly")
    _sub(devices, "controller", type="usb", model="none")
    _interface(devices, server)
    _console(devices, files.console_log)
    graphics = _sub(devices, "graphics", type="vnc", port="-1", autoport="yes", passwd=vnc_password)
    _sub(graphics, "listen", type="address", address=host.management_address)
    _sub(_sub(devices, "video"), "model", type="vga", vram="16384", heads="1")
    channel = _sub(devices, "channel", type="unix")
    _sub(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    _text(_sub(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")
    _sub(_sub(devices, "memballoon", model="virtio"), "stats", period=str(BALLOON_PERIOD))


def _disk(devices: Element, path: Path, target: str, serial: str, layout: str = "qcow2") -> Element:
    """Add a virtio disk that gives back what the guest discards.

    ``serial`` is a name that the guest finds it by, whatever it calls the device.
    """
    disk = _sub(devices, "disk", type="file", device="disk")
    _sub(disk, "driver", name="qemu", type=layout, cache="writeback", discard="unmap")
    _sub(disk, "source", file=str(path))
    _sub(disk, "target", dev=target, bus="virtio")
    _text(disk, "serial", serial)
    return disk


def _interface(devices: Element, server: WantedServer) -> None:
    """Plug the guest into its tap, which the agent's network half made and guards."""
    interface = _sub(devices, "interface", type="ethernet")
    _sub(interface, "mac", address=server.mac)
    _sub(interface, "target", dev=server.tap, managed="no")
    _sub(interface, "model", type="virtio")


def _console(devices: Element, log: Path) -> None:
    """Keep what the guest writes to its serial port; a terminal can be attached besides."""
    serial = _sub(devices, "serial", type="pty")
    _sub(serial, "log", file=str(log), append="on")
    _sub(serial, "target", port="0")
    _sub(_sub(devices, "console", type="pty"), "target", type="serial", port="0")


def _sub(parent: Element, tag: str, **attributes: str) -> Element:
    return ET.SubElement(parent, tag, attributes)


def _text(parent: Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text
