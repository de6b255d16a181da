"""An image store in any of fsspec's file systems: S3 and the like, SFTP, another cloud's.

Bytes go up under their final name, committed as a whole when all of them are there (fsspec's
``autocommit=False``: a multipart upload in S3), so a reader never sees a part, and an upload that
is broken off is discarded. Each read is a request of its own for a range, so nothing is held open
and a store that was away is simply asked again.

fsspec is asked for no instance and no listing from its caches: other processes write here too.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
from fsspec.utils import get_protocol, stringify_path

from db.image_store.errors import StoreAway
from db.image_store.told import Told, nobody

_LOCAL = ("file", "local")
_YOUNG = 600.0  # seconds in which a file need not be brought again to be safe from the sweeper
_BLOCK = 16 << 20  # bytes that go up at once, at the least
_MOST_BLOCKS = 9000  # S3 takes 10,000
_LOGIN = re.compile(r"(?<=://)[^/@]+(?=@)")  # of a URL that has one
# S3's own libraries would wait and repeat for minutes while somebody waits for us.
_PATIENCE = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 1}}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": _PATIENCE},
    "s3a": {"config_kwargs": _PATIENCE},
}


def local_path(location: str) -> Path | None:
    """The directory that a path or a file URL names; None for another store."""
    if get_protocol(location) not in _LOCAL:
        return None
    return Path(location.partition("://")[2] if "://" in location else location)


class Remote:
    """The files below one URL, whose bucket or directory its operator made."""

    def __init__(self, url: str, options: str, staging: Path) -> None:
        """``options`` is JSON: what fsspec's file system of the URL takes. Asks nobody anything."""
        self.incoming = staging
        self._url = _LOGIN.sub("...", url)
        self._login = _LOGIN.findall(url)
        given = {**_DEFAULTS.get(get_protocol(url), {}), **json.loads(options)}
        with self._answering():
            self._fs, root = fsspec.core.url_to_fs(url, skip_instance_cache=True, **given)
        if hasattr(self._fs, "retries"):
            self._fs.retries = 2
        self._root = stringify_path(root).rstrip("/")

    def path(self, checksum: str) -> None:
        """It is not on this machine."""

    def size(self, checksum: str) -> int | None:
        """Bytes of a file."""
        facts = self._facts(checksum)
        return None if facts is None else int(facts["size"])

    def read(self, checksum: str, first: int, count: int) -> bytes:
        """A part of a file."""
        with self._answering(missing=True):
            return bytes(self._fs.cat_file(self._name(checksum), start=first, end=first + count))

    def bring(self, incoming: Path, checksum: str, told: Told = nobody) -> None:
        """The file is there, with a fresh stamp."""
        size = incoming.stat().st_size
        facts = self._facts(checksum)
        if facts and facts["size"] == size and time.time() - _stamp(facts) < _YOUNG:
            return
        block = max(_BLOCK, -(-size // _MOST_BLOCKS))
        with incoming.open("rb") as source, self._answering():
            self._put(source, self._name(checksum), block, told)
        if self.size(checksum) != size:
            raise StoreAway(f"{self._url} did not keep all of the {size} bytes that it took.")

    def _put(self, source: Any, name: str, block: int, told: Told) -> None:
        target = self._fs.open(name, "wb", block_size=block, autocommit=False)
        try:
            while data := source.read(block):
                target.write(data)
                told(source.tell())
            target.close()
            if hasattr(target, "commit"):
                target.commit()
        except BaseException:
            with contextlib.suppress(Exception):
                target.discard()
            target.closed = True  # or its destructor would flush what we do not want
            raise

    def place(self, incoming: Path, checksum: str) -> bool:
        """It has had its name since it was brought."""
        return self.size(checksum) == incoming.stat().st_size

    def remove(self, checksum: str) -> None:
        """The file is gone."""
        with contextlib.suppress(FileNotFoundError), self._answering(missing=True):
            self._fs.rm_file(self._name(checksum))

    def stamp(self, checksum: str) -> float:
        """When it was written."""
        facts = self._facts(checksum)
        return float("inf") if facts is None else _stamp(facts)

    def names(self, before: float) -> list[str]:
        """All files there, in one listing."""
        self._fs.invalidate_cache()
        try:
            with self._answering(missing=True):
                found = self._fs.ls(self._root, detail=True)
        except FileNotFoundError:
            return []
        return [
            str(facts["name"]).rpartition("/")[2]
            for facts in found
            if facts["type"] == "file" and _stamp(facts) < before
        ]

    def _name(self, checksum: str) -> str:
        return f"{self._root}/{checksum}"

    def _facts(self, checksum: str) -> dict[str, Any] | None:
        self._fs.invalidate_cache()
        try:
            with self._answering(missing=True):
                facts: dict[str, Any] = self._fs.info(self._name(checksum))
        except FileNotFoundError:
            return None
        return facts if facts["type"] == "file" else None

    @contextmanager
    def _answering(self, *, missing: bool = False) -> Iterator[None]:
        """Errors of whichever library become StoreAway; with ``missing``, one of no file stays.

        That there is no bucket is said of no file: hosts would give up what an operator can mend.
        """
        try:
            yield
        except FileNotFoundError as error:
            if missing and not _has_no_bucket(error):
                raise
            raise self._away(error) from error
        except Exception as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> StoreAway:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        for login in self._login:
            reason = reason.replace(login, "...")
        if isinstance(error, PermissionError):
            reason = f"it refuses what its options log in with ({reason})"
        return StoreAway(f"The image store {self._url} cannot be used: {reason}.")


def _has_no_bucket(error: FileNotFoundError) -> bool:
    """Whether S3 says so; the library says the same of a bucket and of a file."""
    answer = getattr(error.__cause__, "response", None) or {}
    return bool(answer.get("Error", {}).get("Code") == "NoSuchBucket")


def _stamp(facts: dict[str, Any]) -> float:
    """When a file was written, under whichever name its file system says it.

    A store that does not say has no old files: nothing is swept by mistake.
    """
    for key in ("LastModified", "mtime", "last_modified", "updated", "created"):
        value = facts.get(key)
        if isinstance(value, datetime):
            return value.replace(tzinfo=value.tzinfo or UTC).timestamp()
        if isinstance(value, int | float):
            return float(value)
    return float("inf")
