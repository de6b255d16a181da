"""What a guest wrote to its console.

qemu gives it to virtlogd, which keeps the log and one former file, each no larger than what clients
may read: a guest that prints for ever does not fill its host's disk (OSSA-2013-026, decisions/006).
"""

from __future__ import annotations

import os
from pathlib import Path

from compute_agent.disks import places

_TRIES = 5  # a log may be rotated while it is read


def tail(server_id: int, size: int) -> bytes:
    """Return the last ``size`` bytes of a console at most; nothing when there is none."""
    log = places.server_directory(server_id) / places.CONSOLE_LOG
    for _ in range(_TRIES):
        inode = _inode(log)
        said = _end(log, size)
        if len(said) < size:
            said = _end(log.with_name(f"{log.name}.0"), size - len(said)) + said
        if _inode(log) == inode:
            break
    return said


def _end(log: Path, size: int) -> bytes:
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read(size)
    except FileNotFoundError:
        return b""


def _inode(log: Path) -> int | None:
    try:
        return log.stat().st_ino
    except FileNotFoundError:
        return None
