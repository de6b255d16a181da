"""What a host can do is found out on the host."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from compute_agent.domain import virtualization
from compute_agent.errors import HostFault
from db.settings import settings


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A host with the flag and the device; tests take away from it."""
    for name in ("CPUINFO", "MEMINFO", "KVM", "CGROUP"):
        monkeypatch.setattr(virtualization, name, tmp_path / name)
    (tmp_path / "CPUINFO").write_text("flags\t\t: fpu vmx sse\nflags\t\t: fpu vmx sse\n")
    (tmp_path / "MEMINFO").write_text("MemTotal:       24684032 kB\nMemFree: 1 kB\n")
    (tmp_path / "KVM").touch()
    (tmp_path / "CGROUP").mkdir()
    monkeypatch.setenv("UNDERCAST_STATE_DIR", str(tmp_path / "state"))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def test_kvm_where_flag_and_device_are() -> None:
    assert virtualization.domain_type() == "kvm"


def test_emulation_without_the_device(host: Path) -> None:
    (host / "KVM").unlink()
    assert virtualization.domain_type() == "qemu"


def test_emulation_without_the_flag_even_when_the_device_opens(host: Path) -> None:
    (host / "CPUINFO").write_text("flags\t\t: fpu sse vmx_like\nmodel name : vmx svm\n")
    assert virtualization.domain_type() == "qemu"


@pytest.mark.parametrize("chosen", ["kvm", "qemu"])
def test_setting_overrules(chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERCAST_VIRTUALIZATION", chosen)
    settings.cache_clear()
    assert virtualization.domain_type() == chosen


def test_kvm_that_is_not_there_is_refused_at_once(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent says so in its log and does not register; no guest hangs."""
    monkeypatch.setenv("UNDERCAST_VIRTUALIZATION", "kvm")
    settings.cache_clear()
    (host / "KVM").unlink()
    with pytest.raises(HostFault, match="does not open"):
        virtualization.resources()


def test_memory_is_that_of_proc() -> None:
    assert virtualization.memory_mb() == 24105


def test_resources(host: Path) -> None:
    found = virtualization.resources()
    assert found.ram_mb == 24105
    assert found.vcpus >= 1
    assert found.disk_gb >= 1
    assert found.hypervisor == "kvm"


def test_shares_need_a_cgroup_with_cpu(host: Path) -> None:
    assert virtualization.cpu_shares() is None
    (host / "CGROUP" / "cgroup.controllers").write_text("memory pids\n")
    assert virtualization.cpu_shares() is None
    (host / "CGROUP" / "cgroup.controllers").write_text("cpuset cpu memory\n")
    assert virtualization.cpu_shares() == virtualization.CGROUP_V2


def test_shares_in_the_first_cgroup_version(host: Path) -> None:
    (host / "CGROUP" / "cpu").mkdir()
    (host / "CGROUP" / "cpu" / "cpu.shares").touch()
    assert virtualization.cpu_shares() == virtualization.CGROUP_V1
