"""Room in the image cache: it is bounded, and the image that was used least recently goes first.

An image goes only when no server of the host needs it, whatever state that is in: the base of its
root disk, or an image that its record names. A server has its record before its image is asked for;
one that got it just now may not be counted yet, so what was asked for within REST seconds stays.

Private images of one tenant have a part of the room only, so that a tenant who boots from hundreds
of snapshots cannot fill the host (OSSA-2013-037). What finds no room is the host's fault: the
server is tried on another one.
"""

from __future__ import annotations

import re
import shutil
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compute_agent import serverdir
from compute_agent.disks import places
from compute_agent.errors import HostFault
from db import log
from db.settings import settings
from db.wanted import WantedImage

REST = 10.0  # seconds
STALE = 86_400.0  # seconds after which a part of a broken transfer is not waited for any more
KEPT_FREE = 1 << 30  # bytes of the file system that the cache leaves to guests
GB = 1 << 30
_NAME = re.compile(r"[0-9a-f]{64}")
_QCOW2_BACKING = struct.Struct(">4sIQI")  # magic, version, offset and length of the base's name

_logger = log.logger(__name__)


@dataclass(frozen=True, slots=True)
class Cached:
    """A file of the cache."""

    path: Path
    size: int  # bytes
    used: float  # when it was asked for last
    owner: str  # tenant of a private image, "" for public ones


class Room:
    """Bounds of the cache in ``directory``; ``needed`` tells the checksums that servers need."""

    def __init__(
        self, directory: Path, most: int, most_of_tenant: int, needed: Callable[[], set[str]]
    ) -> None:
        self._directory = directory
        self._most = most
        self._most_of_tenant = most_of_tenant
        self._needed = needed
        self._lock = threading.Lock()
        self._coming: dict[str, WantedImage] = {}

    @classmethod
    def from_settings(cls) -> Room:
        """Bounds of this host's cache."""
        config, directory = settings(), places.images_directory()
        directory.mkdir(parents=True, exist_ok=True)
        most = int(config.image_cache_gb * GB) or shutil.disk_usage(directory).total // 4
        return cls(directory, most, int(most * config.image_cache_tenant_share), needed_images)

    @contextmanager
    def reserved(self, image: WantedImage) -> Iterator[None]:
        """Keep room for an image that is on its way. Raises HostFault when there is none."""
        with self._lock:
            self._make(image)
            self._coming[image.checksum] = image
        try:
            yield
        finally:
            with self._lock:
                del self._coming[image.checksum]

    def tidy(self) -> None:
        """Bring the cache within its bounds, and remove what broken transfers left."""
        with self._lock:
            self._shrink(self._all(), self._most, partly=True)
            self._free_disk(KEPT_FREE, partly=True)
            for path in [*self._directory.glob("*.part"), *self._directory.glob("*.lock")]:
                if _age(path) > STALE and path.stem not in self._coming:
                    path.unlink(missing_ok=True)

    def _make(self, image: WantedImage) -> None:
        cached = self._all()
        coming = list(self._coming.values())
        if image.owner:
            theirs = [entry for entry in cached if entry.owner == image.owner]
            taken = sum(other.size for other in coming if other.owner == image.owner)
            if not self._shrink(theirs, self._most_of_tenant - taken - image.size):
                raise HostFault(f"tenant {image.owner} has its part of the image cache in use")
            cached = self._all()
        if not self._shrink(cached, self._most - sum(other.size for other in coming) - image.size):
            raise HostFault(f"image {image.id} has {image.size} bytes: no room in the image cache")
        wanted = image.size + sum(other.size for other in coming) + KEPT_FREE
        free = self._free_disk(wanted)
        if free < wanted:
            raise HostFault(f"image {image.id} has {image.size} bytes, and {free} are free")

    def _free_disk(self, wanted: int, *, partly: bool = False) -> int:
        """Evict until so many bytes of the disk are free; how many are."""
        if (short := wanted - shutil.disk_usage(self._directory).free) > 0:
            cached = self._all()
            self._shrink(cached, sum(entry.size for entry in cached) - short, partly=partly)
        return shutil.disk_usage(self._directory).free

    def _shrink(self, cached: list[Cached], most: int, *, partly: bool = False) -> bool:
        """Evict until the files have ``most`` bytes at the most; whether that could be.

        Where it cannot be, nothing goes in vain, unless a part is worth it.
        """
        total = sum(entry.size for entry in cached)
        if total <= most:
            return True
        needed, now = self._needed(), time.time()
        idle = [
            entry
            for entry in sorted(cached, key=lambda each: each.used)
            if now - entry.used >= REST and entry.path.name not in needed
        ]
        if not partly and total - sum(entry.size for entry in idle) > most:
            return False
        for entry in idle:
            if total > most and _evict(entry):
                total -= entry.size
        return total <= most

    def _all(self) -> list[Cached]:
        found = []
        for path in self._directory.iterdir():
            if _NAME.fullmatch(path.name):
                status = path.stat()
                found.append(Cached(path, status.st_size, status.st_mtime, owner_of(path)))
        return found


def needed_images() -> set[str]:
    """Checksums of the images that servers of this host need, whether their guests run or not."""
    found = set()
    for server_id in serverdir.ids():
        found.add(base_of(places.server_directory(server_id) / places.ROOT_DISK))
        record = serverdir.read(server_id)
        if record is not None:
            server = record.wanted
            images = (server.image, server.kernel, server.ramdisk)
            found.update(image.checksum for image in images if image is not None)
    return found


def base_of(disk: Path) -> str:
    """Name of the file that a qcow2 of ours lies on, "" for none."""
    try:
        with disk.open("rb") as file:
            magic, _, offset, length = _QCOW2_BACKING.unpack(file.read(_QCOW2_BACKING.size))
            if magic != b"QFI\xfb":
                return ""
            file.seek(offset)
            return Path(file.read(min(length, 1023)).decode()).name
    except (OSError, struct.error, ValueError):
        return ""


def keep_owner(path: Path, owner: str | None) -> None:
    """Remember whose a cached file is; one that is public too is nobody's."""
    place = path.with_suffix(".owner")
    if owner is None:
        place.unlink(missing_ok=True)
    elif not path.exists():
        place.write_text(owner)


def owner_of(path: Path) -> str:
    """Tenant that a cached file is private to, "" for none."""
    try:
        return path.with_suffix(".owner").read_text()
    except FileNotFoundError:
        return ""


def _evict(entry: Cached) -> bool:
    """Remove a file, unless it was asked for meanwhile."""
    if _age(entry.path) < REST:
        return False
    entry.path.unlink(missing_ok=True)
    entry.path.with_suffix(".owner").unlink(missing_ok=True)
    _logger.info("image evicted", checksum=entry.path.name, bytes=entry.size)
    return True


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
