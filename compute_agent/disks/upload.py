"""Bytes that leave a host for the controller's image store.

The file is hashed first, because its name in the store is its SHA-256; the controller hashes what
arrives and keeps it only when both agree. An upload that broke is sent again from its beginning.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from compute_agent.driver import Still
from compute_agent.errors import Fatal, HostFault, Retry
from db import log
from db.queries.image_changes import StoredBytes
from db.settings import settings

_TIMEOUT = httpx.Timeout(30.0, read=600.0)  # the controller reads all of it again before it answers
_CHUNK = 1 << 20

_logger = log.logger(__name__)


def upload(path: Path, still: Still) -> StoredBytes:
    """Bring a qcow2 that stands alone into the image store.

    Raises Retry when the controller is away or full, HostFault when it refuses this host or the
    bytes arrive wrong, Fatal when they are not a usable image, and what ``still`` raises.
    """
    config = settings()
    size = path.stat().st_size
    halves = 2 * max(size, 1)  # the file is read twice: hashed, and sent
    checksum = _checksum(path, lambda done: still(done / halves))
    address = f"{config.internal_address}:{config.internal_port}"
    headers = {
        "Authorization": f"Bearer {config.internal_secret.get_secret_value()}",
        "Content-Type": "application/octet-stream",
        "Content-Length": str(size),
    }
    started = time.monotonic()
    try:
        answer = httpx.put(
            f"http://{address}/internal/images/{checksum}",
            content=_chunks(path, lambda done: still((size + done) / halves)),
            headers=headers, timeout=_TIMEOUT, trust_env=False,
        )  # fmt: skip
    except httpx.HTTPError as error:
        raise Retry(f"image upload: {error!r}") from error
    _check_answer(answer)
    seconds = round(time.monotonic() - started, 2)
    _logger.info("image uploaded", checksum=checksum, bytes=size, seconds=seconds)
    return StoredBytes(checksum, size, int(answer.json()["virtual_size"]))


def _chunks(path: Path, told: Callable[[int], None]) -> Iterator[bytes]:
    """The file's bytes; before each part, ``told`` learns how many were read."""
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            told(done)
            done += len(chunk)
            yield chunk


def _checksum(path: Path, told: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(path, told):
        digest.update(chunk)
    return digest.hexdigest()


def _check_answer(answer: httpx.Response) -> None:
    """Pass only an answer that says that the bytes are stored."""
    status = answer.status_code
    if status == httpx.codes.CREATED:
        return
    said = f"the image store answered {status}: {answer.text[:300]}"
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        raise Fatal(said)
    if answer.is_client_error:
        raise HostFault(said)
    raise Retry(said)
