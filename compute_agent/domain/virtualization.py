"""What a host can do for guests, found out on the host itself.

libvirt is not asked: its node information can be wrong about memory, and its capabilities take
seconds where /dev/kvm opens but does not work.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compute_agent.driver import HostResources
from compute_agent.errors import HostFault
from db.settings import settings

CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")
KVM = Path("/dev/kvm")
CGROUP = Path("/sys/fs/cgroup")
_GIB = 1024**3

DomainType = Literal["kvm", "qemu"]


@dataclass(frozen=True, slots=True)
class CpuShares:
    """Weights of guests' processors in the host's version of cgroups."""

    of_one: int  # virtual processor
    most: int

    def of(self, vcpus: int) -> int:
        """Weight of a guest."""
        return min(self.of_one * vcpus, self.most)


CGROUP_V1, CGROUP_V2 = (
    CpuShares(1024, 262_144),
    CpuShares(100, 10_000),
)  # the kernel's default, most


@dataclass(frozen=True, slots=True)
class HostAbilities:
    """What the domain XML depends on, besides the server."""

    domain_type: DomainType
    cpu_shares: CpuShares | None  # None: libvirt finds no cgroup to set them in
    management_address: str


def abilities() -> HostAbilities:
    """Abilities of this host as they are now. Raises HostFault."""
    return HostAbilities(domain_type(), cpu_shares(), settings().management_address)


def domain_type() -> DomainType:
    """KVM where it works, emulation elsewhere; the setting ``virtualization`` overrules.

    A device that opens is not enough: kinds without the processor's flag were seen to hang guests.
    Raises HostFault when the setting asks for what the host does not have.
    """
    chosen = settings().virtualization
    if chosen == "kvm" and not _opens(KVM):
        raise HostFault(f"the setting virtualization is kvm, and {KVM} does not open here")
    if chosen != "auto":
        return chosen
    return "kvm" if _has_flag() and _opens(KVM) else "qemu"


def cpu_shares() -> CpuShares | None:
    """Weights where this host mounts a cgroup hierarchy that has the cpu controller."""
    if (CGROUP / "cpu" / "cpu.shares").exists():
        return CGROUP_V1
    controllers = CGROUP / "cgroup.controllers"
    if controllers.exists() and "cpu" in controllers.read_text().split():
        return CGROUP_V2
    return None


def resources() -> HostResources:
    """Totals of the machine; the disk is the file system of ``state_dir``."""
    directory = settings().state_dir
    directory.mkdir(parents=True, exist_ok=True)
    return HostResources(
        vcpus=os.cpu_count() or 1,
        ram_mb=memory_mb(),
        disk_gb=shutil.disk_usage(directory).total // _GIB,
        hypervisor=domain_type(),
    )


def memory_mb() -> int:
    """Memory of the machine in MB."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", MEMINFO.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{MEMINFO} names no MemTotal")
    return int(found[1]) // 1024


def _has_flag() -> bool:
    found = re.search(r"^flags\s*:.*\b(vmx|svm)\b", CPUINFO.read_text(), re.MULTILINE)
    return found is not None


def _opens(device: Path) -> bool:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True
