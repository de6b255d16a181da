"""Bytes that hosts bring into the image store: bounded, hashed on the way, inspected, then named.

Only qcow2 files that stand alone are taken, and only what is hashed as its sender said. Nothing of
an upload that broke or was refused is left.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.to_thread

from api.faults import BadRequest, BodyTooLarge, ServiceUnavailable
from api.internal.stored import asked, opened
from db import log
from db.engine import async_engine
from db.image_format import ImageRefusedError, inspect_image
from db.image_store import INCOMING, Store
from db.queries import images_admin
from db.settings import settings

_GB = 1 << 30
_PATIENCE = 60.0  # seconds that the next bytes may take
_CHUNK = 1 << 20  # bytes that are hashed and written at once
_ATTEMPTS = 3  # to name what somebody else removes meanwhile

_logger = log.logger(__name__)


def declared_size(header: str | None) -> int:
    """Size that an upload says it has. Raises BadRequest without, BodyTooLarge over the limit."""
    if header is None or not header.isascii() or not header.isdigit():
        raise BadRequest("An upload must say its Content-Length.")
    size = int(header)
    if size > settings().largest_upload_gb * _GB:
        raise BodyTooLarge
    return size


async def keep(stream: AsyncIterator[bytes], checksum: str, size: int) -> int:
    """Store what ``stream`` brings under ``checksum``; the disk's size as a guest sees it.

    Raises BadRequest when it is not what was said, ServiceUnavailable when it cannot fit or the
    store is away.
    """
    store = opened()
    path, file = await anyio.to_thread.run_sync(_begin, store.incoming, size)
    try:
        found = await _receive(stream, file, size)
        if found != checksum:
            raise BadRequest(f"The bytes have the checksum {found}.")
        virtual_size = await anyio.to_thread.run_sync(_inspect, path)
        await _store(store, path, checksum)
    finally:
        await anyio.to_thread.run_sync(_end, path, file)
    _logger.info("image stored", checksum=checksum, bytes=size)
    return virtual_size


async def _store(store: Store, path: Path, checksum: str) -> None:
    """Bring the bytes, then name them while nobody removes any of that name."""
    for _ in range(_ATTEMPTS):
        await asked(store.bring, path, checksum)
        async with async_engine().begin() as conn:
            await conn.run_sync(images_admin.lock_bytes, checksum)
            if await asked(store.place, path, checksum):
                return
    raise ServiceUnavailable


def _begin(directory: Path, size: int) -> tuple[Path, BinaryIO]:
    """A file that has no name yet. Raises ServiceUnavailable when ``size`` does not fit."""
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < size:
        _logger.error("no room for an image", directory=str(directory), wanted=size, free=free)
        raise ServiceUnavailable
    descriptor, name = tempfile.mkstemp(prefix=INCOMING, dir=directory)
    os.fchmod(descriptor, 0o640)
    return Path(name), os.fdopen(descriptor, "wb")


async def _receive(stream: AsyncIterator[bytes], file: BinaryIO, size: int) -> str:
    """Write what comes, never more than ``size``; its checksum once it is on disk."""
    digest, waiting, received = hashlib.sha256(), bytearray(), 0

    def put(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    def finish() -> None:
        put(bytes(waiting))
        file.flush()
        os.fsync(file.fileno())

    async for chunk in _patient(stream):
        received += len(chunk)
        if received > size:
            raise BadRequest(f"More than {size} bytes came.")
        waiting += chunk
        if len(waiting) >= _CHUNK:
            await anyio.to_thread.run_sync(put, bytes(waiting))
            waiting.clear()
    await anyio.to_thread.run_sync(finish)
    if received < size:
        raise BadRequest(f"{received} bytes came, not {size}.")
    return digest.hexdigest()


async def _patient(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What comes; a sender that lost power in the middle says nothing more, and no good-bye."""
    while True:
        try:
            with anyio.fail_after(_PATIENCE):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise BadRequest(f"Nothing came for {_PATIENCE:g} s.") from None
        yield chunk


def _inspect(path: Path) -> int:
    try:
        return inspect_image(path, "qcow2").virtual_size
    except ImageRefusedError as error:
        raise BadRequest(f"The image is refused: {error}.") from None


def _end(path: Path, file: BinaryIO) -> None:
    file.close()
    path.unlink(missing_ok=True)
