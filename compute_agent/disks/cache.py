"""Images on a host: fetched once, checked, and never changed again.

Guarantees:

- One transfer per image at a time on the host, whoever asks: threads and processes wait for the
  holder of the image's lock file (``flock``, so that a killed holder lets go).
- A file in the cache is complete and checked: it gets its name, the checksum, only after size,
  SHA-256, format and virtual size were found to be as recorded, and it is read-only.
- A broken transfer goes on where it stopped, also after a restart of the agent; the part file is
  kept and its bytes count for nothing until the whole is checked.
- Never more bytes than the record says are written, whatever the sender does, and never more in
  all than there is room for (``disks.room``).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from compute_agent.disks import places
from compute_agent.disks.room import Room, keep_owner
from compute_agent.errors import Fatal, HostFault, Retry
from db import log
from db.image_format import ImageRefusedError, inspect_image
from db.settings import settings
from db.wanted import WantedImage

_TIMEOUT = httpx.Timeout(10.0)  # seconds without progress
_LOCK_WAIT = 120.0  # seconds that one caller waits for another's transfer
_ATTEMPTS = 3  # of a transfer that breaks, before the step is tried again later

_logger = log.logger(__name__)


class ImageCache:
    """The cache in ``directory``, filled from the controller's internal interface."""

    def __init__(self, directory: Path, url: str, secret: str, room: Room) -> None:
        """``url`` is that of the images' collection; ``secret`` the interface's bearer secret."""
        self._directory = directory
        self.room = room
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {secret}", "Accept-Encoding": "identity"}

    @classmethod
    def from_settings(cls) -> ImageCache:
        """Make the cache of this host."""
        config = settings()
        return cls(
            places.images_directory(),
            f"http://{config.internal_address}:{config.internal_port}/internal/images",
            config.internal_secret.get_secret_value(),
            Room.from_settings(),
        )

    def path(self, image: WantedImage) -> Path:
        """Where the image is once it was fetched."""
        if len(image.checksum) != 64 or not set(image.checksum) <= set("0123456789abcdef"):
            raise Fatal(f"image {image.id} has a checksum that is no SHA-256")
        return self._directory / image.checksum

    def fetch(self, image: WantedImage) -> Path:
        """Path of the image's checked bytes on this host, which are fetched when they are missing.

        Raises Retry when the controller is away or another caller takes long, HostFault when the
        bytes that came are not those of the checksum, Fatal when they are not a usable image.
        """
        path = self.path(image)
        if _used(path):
            return path
        places.make_passable(self._directory)
        with self._sole(path):
            if not _used(path):
                with self.room.reserved(image):
                    self._bring(image, path)
        return path

    @contextmanager
    def _sole(self, path: Path) -> Iterator[None]:
        """Hold the lock of one image. Every call opens the file anew, so threads exclude too."""
        deadline, place = time.monotonic() + _LOCK_WAIT, path.with_suffix(".lock")
        while True:
            with place.open("w") as lock:
                if _locked(lock.fileno(), place):
                    yield
                    return
            if time.monotonic() > deadline:
                raise Retry(f"image {path.name} is still being fetched")
            time.sleep(0.05)

    def _bring(self, image: WantedImage, path: Path) -> None:
        part = path.with_suffix(".part")
        started = time.monotonic()
        try:
            self._transfer(image, part)
            _check(image, part)
            part.chmod(0o444)
            keep_owner(path, image.owner)
            places.publish(part, path)
            _used(path)
        except OSError as error:
            if error.errno == errno.ENOSPC:  # guests need the room more
                part.unlink(missing_ok=True)
            raise HostFault(f"cannot keep image {image.checksum}: {error}") from error
        seconds = round(time.monotonic() - started, 2)
        _logger.info("image fetched", image=image.id, bytes=image.size, seconds=seconds)

    def _transfer(self, image: WantedImage, part: Path) -> None:
        """Bring ``part`` to the image's size, from where it ends now."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._continue(image, part)
            except httpx.HTTPError as error:
                if attempt == _ATTEMPTS:
                    raise Retry(f"image {image.checksum}: {error!r}") from error
                _logger.warning("image transfer broke", image=image.id, error=repr(error))
            else:
                return

    def _continue(self, image: WantedImage, part: Path) -> None:
        """Ask for the bytes that are missing and append them. Raises httpx.HTTPError."""
        have = part.stat().st_size if part.exists() else 0
        if have > image.size:
            part.unlink()
            have = 0
        if have == image.size and part.exists():
            return
        headers = {**self._headers, "Range": f"bytes={have}-"} if have else self._headers
        url = f"{self._url}/{image.checksum}"
        with httpx.stream("GET", url, headers=headers, timeout=_TIMEOUT, trust_env=False) as answer:
            _check_answer(answer, image, part)
            resumed = answer.status_code == httpx.codes.PARTIAL_CONTENT
            with part.open("ab" if resumed else "wb") as file:
                for chunk in answer.iter_raw():  # unbuffered: what arrived before a break counts
                    file.write(chunk)
                    if file.tell() > image.size:
                        raise HostFault(f"image {image.checksum} is larger than {image.size} bytes")
        if part.stat().st_size < image.size:
            raise httpx.RemoteProtocolError("fewer bytes than the image has")


def _used(path: Path) -> bool:
    """Note that a cached file is used now, and whether it is there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _locked(descriptor: int, place: Path) -> bool:
    """Whether the file is locked now, and is still the one at its place."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), place.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _check_answer(answer: httpx.Response, image: WantedImage, part: Path) -> None:
    """Pass only an answer that brings bytes; each other one says what to do."""
    status = answer.status_code
    if status == httpx.codes.NOT_FOUND:
        raise Fatal(f"the image store has no {image.checksum}")
    if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
        part.unlink(missing_ok=True)
        raise Retry(f"image {image.checksum} cannot be resumed, it starts anew")
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise HostFault("the image store refuses this host's secret")
    if status not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
        raise Retry(f"the image store answered {status} for {image.checksum}")


def _check(image: WantedImage, part: Path) -> None:
    """The bytes are those that were registered, and safe to open. Removes those that are not."""
    try:
        with part.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        if checksum != image.checksum:
            raise HostFault(f"image {image.checksum} came with checksum {checksum}")
        facts = inspect_image(part, image.disk_format)
        if facts.virtual_size != image.virtual_size:
            raise ImageRefusedError(f"{facts.virtual_size} bytes large, not {image.virtual_size}")
    except ImageRefusedError as error:
        part.unlink()
        raise Fatal(f"image {image.checksum} is refused: {error}") from error
    except HostFault:
        part.unlink()
        raise
