"""A disk as a file that unprivileged programs may change, in namespaces of their own."""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compute_agent import process
from compute_agent.disks import places
from compute_agent.errors import HostFault
from compute_agent.process import Limits
from db.settings import settings

_READY_SECONDS = 10.0
_TIMEOUT = 60.0  # seconds for one program
_ROOM = "injection"
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Export:
    """A disk that is exported at this moment."""

    disk: Path  # the whole disk as a file, inside the namespaces only
    room: Path  # directory whose files programs may read and write
    pid: int  # of the process that holds the namespaces

    def give(self, path: Path, mode: int) -> None:
        """Let those programs open a file of ``room`` that root made."""
        places.give(path, settings().injection_user, mode)

    def run(self, *argv: str, largest_file: int | None = None) -> str:
        """Output of a program that may open ``disk`` and what is in ``room``.

        ``largest_file``: bytes that it may write into one file. Raises HostFault and Retry.
        """
        enter = [f"--{kind}=/proc/{self.pid}/ns/{file}" for kind, file in _NAMESPACES]
        limits = Limits(512 * _MIB, cpu_seconds=30, file_size=largest_file)
        argv = ("nsenter", *enter, "--", *_unprivileged("--no-new-privs"), *argv)
        return process.run(argv, timeout=_TIMEOUT, limits=limits)


_NAMESPACES = (("mount", "mnt"), ("net", "net"))


@contextmanager
def exported(disk: Path, base: Path, base_format: str) -> Iterator[Export]:
    """Export a qcow2 disk that lies on ``base``; afterwards all changes are in the disk.

    The disk is then the unprivileged user's, not yet qemu's.
    Raises HostFault when that cannot be, for instance without /dev/fuse.
    """
    if os.geteuid() != 0:
        raise HostFault("only root can export a disk")
    with places.scratch(disk.parent, _ROOM) as room:
        mountpoint = room / "disk"
        mountpoint.touch()
        for path, mode in ((disk, 0o600), (mountpoint, 0o600), (room, 0o700)):
            places.give(path, settings().injection_user, mode)
        argv = ["unshare", "--mount", "--propagation", "private", "--net", "--", *_unprivileged()]
        argv += _daemon(disk, base, base_format, mountpoint)
        with process.running(argv, end_seconds=_TIMEOUT) as daemon:
            _await_mount(daemon, mountpoint)
            yield Export(mountpoint, room, daemon.pid)


def _unprivileged(*more: str) -> list[str]:
    user = pwd.getpwnam(settings().injection_user)
    who = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return process.tied(*who, "--inh-caps=-all", *more)


def _daemon(disk: Path, base: Path, base_format: str, mountpoint: Path) -> list[str]:
    """Formats are stated down to the base, which is only read."""
    nodes = [
        ("file", "base-file", f"filename={_escaped(base)},read-only=on"),
        (base_format, "base", "file=base-file,read-only=on"),
        ("file", "disk-file", f"filename={_escaped(disk)}"),
        ("qcow2", "disk", "file=disk-file,backing=base,discard=unmap"),
    ]
    argv = ["qemu-storage-daemon"]
    for driver, name, options in nodes:
        argv += ["--blockdev", f"driver={driver},node-name={name},{options}"]
    options = f"mountpoint={_escaped(mountpoint)},writable=on,allow-other=off"
    return [*argv, "--export", f"type=fuse,id=export,node-name=disk,{options}"]


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")


def _await_mount(daemon: subprocess.Popen[str], mountpoint: Path) -> None:
    mounts, deadline = Path(f"/proc/{daemon.pid}/mounts"), time.monotonic() + _READY_SECONDS
    wanted = f" {str(mountpoint).replace(' ', chr(92) + '040')} fuse"
    while daemon.poll() is None:
        if wanted in mounts.read_text():
            return
        if time.monotonic() > deadline:
            raise HostFault(f"the disk was not exported in {_READY_SECONDS:g} s")
        time.sleep(0.005)
    raise HostFault("the disk was not exported")
