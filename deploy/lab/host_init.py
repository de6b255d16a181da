"""What a host's first process does before it becomes the host's supervisor: its file system.

Runs inside the host's new namespaces, as process 1, while ``/proc`` and ``/dev`` are still the
machine's.
"""

from __future__ import annotations

import grp
import os
import re
import socket
import stat
import sys
from pathlib import Path

from deploy.lab import cgroups, environment, host, mounts, names, settings_files, supervisor
from deploy.lab.mounts import Flags
from deploy.lab.names import PYTHON, REPO, HostNames

_DEVICES = {  # name: (major, minor)
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
    "net/tun": (10, 200),
    "fuse": (10, 229),
}
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-arptables": "0",
}
_LIBVIRT = {
    "etc": Path("/etc/libvirt"),
    "lib": Path("/var/lib/libvirt"),
    "log": Path("/var/log/libvirt"),
    "cache": Path("/var/cache/libvirt"),
}


def init(this: HostNames) -> None:
    """Make the host's file system and become its supervisor."""
    os.umask(0o022)
    socket.sethostname(this.name)
    directory = mounts.hold(this.directory)
    code = {path: mounts.hold(path) for path in (REPO, Path(sys.prefix))}
    mounts.mount("proc", Path("/proc"), "proc", Flags.NOSUID | Flags.NODEV | Flags.NOEXEC)
    _mount_cgroups()
    _make_devices(Path("/dev"))
    mounts.tmpfs(Path("/tmp"), 0o1777)  # noqa: S108 - the host's own
    mounts.tmpfs(Path("/run"))
    Path("/run/lock").mkdir()
    host.INSIDE.mkdir()
    mounts.bind(directory, host.INSIDE)
    _show_own_state_only(this, directory)
    for name, target in _LIBVIRT.items():
        mounts.bind(host.INSIDE / "libvirt" / name, target)
    mounts.bind(host.INSIDE / "etc-hosts", Path("/etc/hosts"))
    for path, held in code.items():
        _uncover(path, held)
    _set_sysctls()
    argv = supervisor.command(PYTHON, host.INSIDE / host.SUPERVISORD_CONF)
    os.execve(argv[0], argv, environment.clean(this.lab))  # noqa: S606 - no shell is meant


def _mount_cgroups() -> None:
    """Mount the hierarchies that the host is in; its own groups are their roots here."""
    root = cgroups.ROOT
    flags = Flags.NOSUID | Flags.NODEV | Flags.NOEXEC
    lines = [line.split(":") for line in Path("/proc/self/cgroup").read_text().splitlines()]
    v1 = [names for _, names, _ in lines if set(names.split(",")) & set(cgroups.CONTROLLERS)]
    if not v1:
        mounts.mount("cgroup2", root, "cgroup2", flags)
        cgroups.join_leaf()
        return
    mounts.tmpfs(root)
    for controllers in v1:
        path = root / controllers
        path.mkdir()
        mounts.mount("cgroup", path, "cgroup", flags, controllers)
        for name in set(controllers.split(",")) - {controllers}:
            (root / name).symlink_to(controllers)


def _make_devices(dev: Path) -> None:
    """A /dev of the host's own.

    /dev/kvm is in it only where the processor can virtualise: elsewhere it may open and yet hang
    guests, and libvirt probes it again and again.
    """
    has_kvm = Path("/dev/kvm").exists() and _virtualises()
    mounts.tmpfs(dev)
    (dev / "net").mkdir()
    for name, (major, minor) in _DEVICES.items():
        _make_device(dev / name, major, minor, 0o666)
    if has_kvm:
        _make_device(dev / "kvm", 10, 232, 0o660)
        os.chown(dev / "kvm", 0, grp.getgrnam("kvm").gr_gid)
    (dev / "pts").mkdir()
    mounts.mount("devpts", dev / "pts", "devpts", Flags.NOSUID | Flags.NOEXEC,
                 "newinstance,ptmxmode=0666,mode=0620,gid=5")  # fmt: skip
    mounts.tmpfs(dev / "shm", 0o1777)
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)


def _make_device(path: Path, major: int, minor: int, mode: int) -> None:
    os.mknod(path, stat.S_IFCHR | mode, os.makedev(major, minor))
    path.chmod(mode)  # whatever the umask took


def _virtualises() -> bool:
    flags = re.search(r"^flags\s*:.*\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return flags is not None


def _show_own_state_only(this: HostNames, directory: int) -> None:
    """Cover the machine's /var/lib/undercast, and show the host's directory in it."""
    mounts.tmpfs(names.BASE, 0o711)
    this.directory.mkdir(parents=True)
    mounts.bind(directory, this.directory)
    settings_files.HOST_STATE.mkdir()
    mounts.bind(this.state, settings_files.HOST_STATE)


def _uncover(path: Path, held: int) -> None:
    """Show the code at its own path again where a new mount covers it."""
    if path.exists() and os.path.samestat(path.stat(), os.fstat(held)):
        return
    path.mkdir(parents=True, exist_ok=True)
    mounts.bind(held, path)


def _set_sysctls() -> None:
    for name, value in _SYSCTLS.items():
        (Path("/proc/sys") / name).write_text(value)
