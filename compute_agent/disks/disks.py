"""A server's disks: made once, complete or absent, and gone as a whole.

A disk is made under another name and renamed when it was verified, so a file with a disk's name is
a complete disk, which is never made again: a second run of the step must not wipe what the guest
has written. Only :func:`rebuild` replaces disks, while the guest is off. The format of every disk
is stated, never probed (OSSA-2015-014 and its kin).
"""

import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from compute_agent import config_drive, process
from compute_agent.disks import places
from compute_agent.disks.cache import ImageCache
from compute_agent.errors import HostFault
from compute_agent.guest_files import Injected
from compute_agent.injection.inject import inject
from db.wanted import WantedImage, WantedServer

GIB = 1024**3
EPHEMERAL_LABEL = "ephemeral0"
_INJECTED = "injected.json"
_TIMEOUT = 60.0  # seconds for one program


def build(server: WantedServer, cache: ImageCache) -> Injected:
    """Make what the server boots from: disks, config drive, kernel, ramdisk.

    Idempotent; says what was put into the guest, also when that was done before. Raises Retry,
    HostFault or Fatal as :meth:`ImageCache.fetch` and :func:`compute_agent.process.run` do, and
    HostFault when the root disk is another image's.
    """
    base = fetch_images(server, cache)
    places.make_passable(places.servers_directory())
    directory = places.make_passable(places.server_directory(server.id))
    root = directory / places.ROOT_DISK
    _make(root, lambda new: _make_root(new, server, base))
    _check_base(root, base)
    if server.disk_gb > 0:
        _make(directory / places.EPHEMERAL_DISK, lambda new: _make_ephemeral(new, server.disk_gb))
    if config_drive.is_wanted(server):
        drive = directory / places.CONFIG_DRIVE
        _make(drive, lambda new: _remember(directory, config_drive.make(new, server)))
    return _remembered(directory)


def fetch_images(server: WantedServer, cache: ImageCache) -> Path:
    """All images that the server boots from are on this host; the path of its root's."""
    base = cache.fetch(server.image)
    for image in (server.kernel, server.ramdisk):
        if image is not None:
            cache.fetch(image)
    return base


def rebuild(server: WantedServer, cache: ImageCache) -> Injected:
    """All disks are new; what the guest had written is gone. The guest is off."""
    directory = places.server_directory(server.id)
    for name in (places.ROOT_DISK, places.EPHEMERAL_DISK, places.CONFIG_DRIVE):
        (directory / name).unlink(missing_ok=True)
    return build(server, cache)


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
    """Thin overlay on the cached image, with what is put into the guest."""
    size, image = root_bytes(server), server.image

    def make() -> None:
        _qemu_img("create", "-q", "-f", "qcow2", "-F", image.disk_format, "-b", base, new, size)
        places.give_to_qemu(new)

    _remember(new.parent, inject(server, new, base, make))
    _verify(new, size, image, base)


def _remember(directory: Path, report: Injected) -> None:
    """Keep what was put into the guest, for a second run of the step to tell."""
    (directory / _INJECTED).write_bytes(orjson.dumps(report))


def _remembered(directory: Path) -> Injected:
    """What was put into the guest when its disks were made."""
    try:
        told = orjson.loads((directory / _INJECTED).read_bytes())
        return Injected(tuple(told["done"]), tuple(told["failed"]), told["place"])
    except (FileNotFoundError, ValueError, KeyError):
        return Injected()


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


def _check_base(root: Path, base: Path) -> None:
    """Raise HostFault when a disk lies on another image, as after a rebuild that was broken off.

    Its guest would read a mixture of the two. The images' directory may have moved.
    """
    found = Path(info(root).get("backing-filename", "")).name
    if found != base.name:
        raise HostFault(f"{root} is of image {found or 'none'}, not of {base.name}")


def info(disk: Path) -> dict[str, Any]:
    """What a qcow2 says of itself, also while a guest writes to it."""
    said = _qemu_img("info", "--force-share", "-f", "qcow2", "--output", "json", disk)
    facts: dict[str, Any] = json.loads(said)
    return facts


def _verify(disk: Path, size: int, image: WantedImage | None, base: Path | None) -> None:
    """Raise HostFault unless the disk is a qcow2 of ``size`` bytes on top of ``base`` alone."""
    facts = info(disk)
    found = (
        facts["virtual-size"],
        facts.get("backing-filename"),
        facts.get("backing-filename-format"),
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
