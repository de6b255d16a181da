"""Where a host keeps what belongs to a server, and who may open it.

    <state_dir>/images/<checksum>       the image cache, read-only
    <state_dir>/servers/<id>/           root.qcow2, ephemeral.qcow2, config.raw, console.log,
                                        server.json, injected.json (what was put into the root),
                                        snapshot-<image>.qcow2 while an image is made of it
    <state_dir>/trash/                  servers' directories on their way out

qemu runs as an unprivileged user (``libvirt_user``) and libvirt changes no owner: what qemu must
open is given to that user here. Directories belong to root; qemu may pass through, not list or
write.
"""

import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compute_agent.errors import HostFault
from db.settings import settings

ROOT_DISK = "root.qcow2"
EPHEMERAL_DISK = "ephemeral.qcow2"
CONFIG_DRIVE = "config.raw"
CONSOLE_LOG = "console.log"


def images_directory() -> Path:
    """Directory of the image cache."""
    return settings().state_dir / "images"


def servers_directory() -> Path:
    """Directory of the servers' directories."""
    return settings().state_dir / "servers"


def trash_directory() -> Path:
    """Directory of what is being removed."""
    return settings().state_dir / "trash"


def server_directory(server_id: int) -> Path:
    """Directory of one server; it may not exist."""
    return servers_directory() / str(server_id)


def make_passable(directory: Path) -> Path:
    """Make the directory if it is missing; qemu can pass through it."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o711)
    return directory


def give_to_qemu(path: Path, mode: int = 0o600) -> None:
    """Let qemu open the file for writing. Raises HostFault when the host has no such user."""
    give(path, settings().libvirt_user, mode)


def give(path: Path, user: str, mode: int) -> None:
    """Make the file a user's. Only root can; elsewhere the owner is that user's anyway.

    Raises HostFault when the host has no such user.
    """
    path.chmod(mode)
    if os.geteuid() != 0:
        return
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise HostFault(f"the host has no user {user}") from None
    os.chown(path, found.pw_uid, found.pw_gid)


@contextmanager
def scratch(directory: Path, name: str) -> Iterator[Path]:
    """Show an empty directory ``name`` for the block, gone afterwards; a killed agent's goes first.

    Only root can open it.
    """
    made = directory / name
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def publish(new: Path, final: Path) -> None:
    """Give a finished file its name; after a power failure it is there complete or not at all."""
    descriptor = os.open(new, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.rename(final)
