"""A server's disks: made once, complete or absent, and gone as a whole.

A disk is made under another name and renamed when it was verified, so a file with a disk's name is
a complete disk, which is never made again: a second run of the step must not wipe what the guest
has written. The format of every disk is stated, never probed (OSSA-2015-014 and its kin).
"""

import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from compute_agent import process
from compute_agent.disks import places
from compute_agent.disks.cache import ImageCache
from compute_agent.errors import HostFault
from db.wanted import WantedImage, WantedServer

GIB = 1024**3
EPHEMERAL_LABEL = "ephemeral0"
_TIMEOUT = 60.0  # seconds for one program


def build(server: WantedServer, cache: ImageCache) -> None:
    """Make what the server boots from: root disk, ephemeral disk, kernel, ramdisk, console log.

    Idempotent. Raises Retry, HostFault or Fatal as :meth:`ImageCache.fetch` and
    :func:`compute_agent.process.run` do.
    """
    base = cache.fetch(server.image)
    for image in (server.kernel, server.ramdisk):
        if image is not None:
            cache.fetch(image)
    places.make_passable(places.servers_directory())
    directory = places.make_passable(places.server_directory(server.id))
    _make(directory / places.ROOT_DISK, lambda new: _make_root(new, server, base))
    if server.disk_gb > 0:
        _make(directory / places.EPHEMERAL_DISK, lambda new: _make_ephemeral(new, server.disk_gb))
    console = directory / places.CONSOLE_LOG
    console.touch()
    places.give_to_qemu(console, 0o640)


def root_bytes(server: WantedServer) -> int:
    """Size of the root disk: the flavor's, at least the image's."""
    return max(server.root_gb * GIB, server.image.virtual_size)


def erase(server_id: int) -> None:
    """Nothing of the server's directory is left, in whatever state it was."""
    directory = places.server_directory(server_id)
    trash = places.trash_directory()
    trash.mkdir(parents=True, exist_ok=True)
    if directory.exists():
        directory.rename(trash / f"{server_id}-{secrets.token_hex(4)}")
    for leftover in trash.glob(f"{server_id}-*"):
        shutil.rmtree(leftover)


def empty_trash() -> None:
    """Remove what an agent that was killed had begun to erase."""
    for leftover in places.trash_directory().glob("*"):
        shutil.rmtree(leftover)


def _make(disk: Path, make: Callable[[Path], None]) -> None:
    """Let ``make`` fill a new file and rename it to ``disk``, unless that is there."""
    if disk.exists():
        return
    new = disk.with_suffix(".new")
    new.unlink(missing_ok=True)
    make(new)
    places.give_to_qemu(new)
    places.publish(new, disk)


def _make_root(new: Path, server: WantedServer, base: Path) -> None:
    """Thin overlay on the cached image."""
    size = root_bytes(server)
    image = server.image
    _qemu_img("create", "-q", "-f", "qcow2", "-F", image.disk_format, "-b", base, new, size)
    _verify(new, size, image, base)


def _make_ephemeral(new: Path, gigabytes: int) -> None:
    """Thin disk with an empty ext4; its blocks are written when the guest writes them."""
    raw = new.with_suffix(".raw")
    try:
        with raw.open("wb") as file:
            file.truncate(gigabytes * GIB)
        lazily = "nodiscard,lazy_itable_init=1,lazy_journal_init=1"
        process.run(
            ["mke2fs", "-q", "-F", "-t", "ext4", "-L", EPHEMERAL_LABEL, "-E", lazily, str(raw)],
            timeout=_TIMEOUT,
        )
        _qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, new)
    finally:
        raw.unlink(missing_ok=True)
    _verify(new, gigabytes * GIB, None, None)


def _verify(disk: Path, size: int, image: WantedImage | None, base: Path | None) -> None:
    """Raise HostFault unless the disk is a qcow2 of ``size`` bytes on top of ``base`` alone."""
    info = json.loads(_qemu_img("info", "-f", "qcow2", "--output", "json", disk))
    found = (
        info["virtual-size"],
        info.get("backing-filename"),
        info.get("backing-filename-format"),
    )
    wanted = (
        -(-size // 512) * 512,  # whole sectors
        None if base is None else str(base),
        None if image is None else image.disk_format,
    )
    if found != wanted:
        raise HostFault(f"{disk} is {found}, not {wanted}")


def _qemu_img(*words: object) -> str:
    argv = ["qemu-img", *(str(word) for word in words)]
    return process.run(argv, timeout=_TIMEOUT, limits=process.QEMU_IMG)
