"""Files come from the operator to the image store: copied, inspected, brought to where it lies.

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
from db.image_store import INCOMING, Store
from deploy.cli.errors import Refused
from deploy.cli.output import size

_CHUNK = 1 << 20
_QCOW2_MAGIC = b"QFI\xfb"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file of the store's that has no name yet."""

    path: Path
    checksum: str  # SHA-256, hex
    size: int  # bytes


@contextmanager
def copied(source: str, directory: Path) -> Iterator[Incoming]:
    """A copy of a file, or of stdin for "-", in the store's directory; removed at the end.

    Raises Refused when it is empty or cannot fit; OSError.
    """
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    with _opened(source) as (stream, expected):
        free = shutil.disk_usage(directory).free
        if expected is not None and expected > free:
            raise Refused(
                f"{source} has {size(expected)} and {directory} has room for {size(free)}."
            )
        descriptor, name = tempfile.mkstemp(prefix=INCOMING, dir=directory)
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as target:
                checksum, copied_size = _copy(stream, target, expected)
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
        with _progress() as progress:
            progress.add_task("Inspecting", total=None)
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


def bring(incoming: Incoming, where: Store) -> None:
    """The bytes are where the store wants them. Raises StoreAway."""
    with _progress() as progress:
        task = progress.add_task("Storing", total=incoming.size)
        where.bring(
            incoming.path, incoming.checksum, lambda done: progress.update(task, completed=done)
        )


def _copy(source: BinaryIO, target: BinaryIO, total: int | None) -> tuple[str, int]:
    digest, done = hashlib.sha256(), 0
    with _progress() as progress:
        task = progress.add_task("Copying", total=total)
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
