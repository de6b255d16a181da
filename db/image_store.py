"""The image store: a directory of files that are named by their SHA-256, each kept once.

A file appears whole and by rename, or not at all. Nobody owns one: it stays as long as an image, a
live server or a running snapshot needs its checksum, and :func:`sweep` removes it afterwards. Who
places or removes a file holds the lock of its checksum (``images_admin.lock_bytes``) until the
transaction ends that says why.

A file is placed before the record that needs it is written. Therefore one that was placed or asked
for again less than ``rest`` seconds ago stays in any case.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from sqlalchemy import Connection

from db.queries import images_admin

INCOMING = ".incoming-"  # beginning of the names of files that have none yet
_NAME = re.compile(r"[0-9a-f]{64}")


def place(incoming: Path, checksum: str, store: Path) -> None:
    """``incoming``, complete and on disk, gets its name; one of the same content stays."""
    final = store / checksum
    if final.exists() and final.stat().st_size == incoming.stat().st_size:
        os.utime(final)
        return
    incoming.replace(final)
    os.utime(final)
    directory = os.open(store, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def sweep(conn: Connection, store: Path, *, rest: float) -> int:
    """Remove files that nobody needs, and what was broken off on its way in; how many.

    Does nothing where there is no store.
    """
    before = time.time() - rest
    old = sorted(path for path in _files(store) if _stamp(path) < before)
    broken = [path for path in old if path.name.startswith(INCOMING)]
    named = [path.name for path in old if _NAME.fullmatch(path.name)]
    gone = broken + [
        store / name
        for name in images_admin.unneeded(conn, named)
        if _drop(conn, store, name, before)
    ]
    for path in broken:
        path.unlink(missing_ok=True)
    return len(gone)


def _drop(conn: Connection, store: Path, checksum: str, before: float) -> bool:
    """Remove a file, unless somebody came to need it meanwhile."""
    images_admin.lock_bytes(conn, checksum)
    path = store / checksum
    if _stamp(path) >= before or not images_admin.unneeded(conn, [checksum]):
        return False
    path.unlink(missing_ok=True)
    return True


def _files(store: Path) -> list[Path]:
    try:
        return [path for path in store.iterdir() if path.is_file() and not path.is_symlink()]
    except FileNotFoundError:
        return []


def _stamp(path: Path) -> float:
    """When the file was written or asked for last; never for one that is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
