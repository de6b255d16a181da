"""The image store: files that are named by their SHA-256, each kept once, wherever they lie.

A file appears whole or not at all. Nobody owns one: it stays as long as an image, a live server or
a running snapshot needs its checksum, and :func:`sweep` removes it afterwards. Bytes arrive in a
local directory first (``Store.incoming``), where they are hashed and inspected.

Who names or removes a file holds the lock of its checksum (``images_admin.lock_bytes``) until the
transaction ends that says why. Bytes travel before that, outside of any transaction
(``Store.bring``); a file that was brought less than ``rest`` seconds ago is not swept in any case.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from db.image_store.errors import StoreAway
from db.image_store.told import Told, nobody
from db.queries import images_admin
from db.settings import settings

__all__ = ["INCOMING", "Store", "StoreAway", "store", "sweep"]

INCOMING = ".incoming-"  # beginning of the names of files that have none yet
_NAME = re.compile(r"[0-9a-f]{64}")


class Store(Protocol):
    """Where the bytes lie. Every method but ``path`` raises StoreAway when nobody answers there."""

    @property
    def incoming(self) -> Path:
        """Local directory in which new bytes wait; it may not exist yet."""

    def path(self, checksum: str) -> Path | None:
        """Where this machine itself would have the file; None: it lies elsewhere."""

    def size(self, checksum: str) -> int | None:
        """Bytes of a file; None when there is none."""

    def read(self, checksum: str, first: int, count: int) -> bytes:
        """``count`` bytes of a file from ``first`` on. Raises FileNotFoundError."""

    def bring(self, incoming: Path, checksum: str, told: Told = nobody) -> None:
        """The bytes of ``incoming``, complete and on disk, are where :meth:`place` wants them."""

    def place(self, incoming: Path, checksum: str) -> bool:
        """The file has its name; False when what was brought is gone: bring it again."""

    def remove(self, checksum: str) -> None:
        """There is no such file."""

    def stamp(self, checksum: str) -> float:
        """When a file was brought last, in seconds since 1970; never (inf) for one that is gone."""

    def names(self, before: float) -> list[str]:
        """Names of the files that were brought before then."""


@lru_cache(maxsize=4)
def _opened(location: str, options: str, staging: Path) -> Store:
    from db.image_store.directory import Directory  # noqa: PLC0415
    from db.image_store.remote import Remote, local_path  # noqa: PLC0415 - slow, seldom wanted

    local = local_path(location)
    return Directory(local) if local is not None else Remote(location, options, staging)


def store() -> Store:
    """The settings' store; opening it asks nobody anything. Raises StoreAway when it cannot be."""
    config = settings()
    return _opened(
        config.image_store, config.image_store_options.get_secret_value(), config.image_staging
    )


def sweep(engine: Engine, where: Store, *, rest: float) -> int:
    """Remove files that nobody needs, and what was broken off on its way in; how many."""
    before = time.time() - rest
    gone = _drop_broken(where.incoming, before)
    old = sorted(name for name in where.names(before) if _NAME.fullmatch(name))
    if not old:
        return gone
    with engine.begin() as conn:
        unneeded = images_admin.unneeded(conn, old)
    return gone + sum(_drop(engine, where, checksum, before) for checksum in unneeded)


def _drop_broken(directory: Path, before: float) -> int:
    gone = 0
    for path in directory.glob(f"{INCOMING}*"):
        try:
            if path.stat().st_mtime < before:
                path.unlink()
                gone += 1
        except FileNotFoundError:
            continue
    return gone


def _drop(engine: Engine, where: Store, checksum: str, before: float) -> bool:
    """Remove a file, unless somebody came to need it meanwhile."""
    with engine.begin() as conn:
        images_admin.lock_bytes(conn, checksum)
        if where.stamp(checksum) >= before or not images_admin.unneeded(conn, [checksum]):
            return False
        where.remove(checksum)
    return True
