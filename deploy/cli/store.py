"""Files come from the operator to the image store: copied beside its files, and inspected.

What was copied and then refused, or interrupted, is removed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import (
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from db.image_format import ImageFacts, ImageRefusedError, inspect_image
from db.image_store import INCOMING
from deploy.cli.errors import Refused

_CHUNK = 1 << 20
_QCOW2_MAGIC = b"QFI\xfb"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file in the store's directory that has no name yet."""

    path: Path
    checksum: str  # SHA-256, hex
    size: int  # bytes


@contextmanager
def copied(source: str, store: Path) -> Iterator[Incoming]:
    """A copy of a file, or of stdin for "-", beside the store's files; removed at the end.

    Raises Refused when it is empty or cannot fit; OSError.
    """
    store.mkdir(mode=0o750, parents=True, exist_ok=True)
    with _opened(source) as (stream, size):
        free = shutil.disk_usage(store).free
        if size is not None and size > free:
            raise Refused(f"{source} has {size} bytes and {store} has room for {free}.")
        descriptor, name = tempfile.mkstemp(prefix=INCOMING, dir=store)
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as target:
                checksum, copied_size = _copy(stream, target, size)
                os.fchmod(target.fileno(), 0o640)
            if copied_size == 0:
                raise Refused(f"{source} is empty.")
            yield Incoming(path, checksum, copied_size)
        finally:
            path.unlink(missing_ok=True)


def inspected(incoming: Incoming, disk_format: str | None) -> ImageFacts:
    """What the file is; without a declared format the one that its first bytes claim.

    Raises Refused when it is not what it claims to be, or dangerous (security: rows 1 to 3).
    """
    if disk_format is None:
        with incoming.path.open("rb") as file:
            disk_format = "qcow2" if file.read(len(_QCOW2_MAGIC)) == _QCOW2_MAGIC else "raw"
    try:
        return inspect_image(incoming.path, disk_format)
    except ImageRefusedError as error:
        raise Refused(f"The image is refused: {error}.") from error


@contextmanager
def _opened(source: str) -> Iterator[tuple[BinaryIO, int | None]]:
    if source == "-":
        yield sys.stdin.buffer, None
        return
    with Path(source).open("rb") as stream:
        yield stream, os.fstat(stream.fileno()).st_size


def _copy(source: BinaryIO, target: BinaryIO, size: int | None) -> tuple[str, int]:
    digest, done = hashlib.sha256(), 0
    with _progress() as progress:
        task = progress.add_task("Copying", total=size)
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            target.write(chunk)
            done += len(chunk)
            progress.update(task, completed=done)
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest(), done


def _progress() -> Progress:
    """Shown on a terminal only, and never on stdout."""
    return Progress(
        TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(), console=Console(stderr=True), transient=True,
        disable=not sys.stderr.isatty(),
    )  # fmt: skip
