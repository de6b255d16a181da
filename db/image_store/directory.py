"""An image store in a directory of this machine: names are given by rename."""

from __future__ import annotations

import os
from pathlib import Path

from db.image_store.told import Told, nobody


class Directory:
    """The files of one directory. What else lies in it is left alone."""

    def __init__(self, directory: Path) -> None:
        self.incoming = directory

    def path(self, checksum: str) -> Path:
        """Where the file is, or would be."""
        return self.incoming / checksum

    def size(self, checksum: str) -> int | None:
        """Bytes of a regular file."""
        path = self.path(checksum)
        return path.stat().st_size if path.is_file() else None

    def read(self, checksum: str, first: int, count: int) -> bytes:
        """A part of a file."""
        with self.path(checksum).open("rb") as file:
            file.seek(first)
            return file.read(count)

    def bring(self, incoming: Path, checksum: str, told: Told = nobody) -> None:
        """They are there: ``incoming`` lies beside the store's files."""

    def place(self, incoming: Path, checksum: str) -> bool:
        """``incoming`` gets its name; one of the same content stays."""
        final = self.path(checksum)
        if self.size(checksum) != incoming.stat().st_size:
            incoming.replace(final)
        os.utime(final)
        directory = os.open(self.incoming, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return True

    def remove(self, checksum: str) -> None:
        """The file is gone."""
        self.path(checksum).unlink(missing_ok=True)

    def stamp(self, checksum: str) -> float:
        """Its modification time."""
        return _stamp(self.path(checksum))

    def names(self, before: float) -> list[str]:
        """Regular files only; none where there is no directory."""
        try:
            paths = list(self.incoming.iterdir())
        except FileNotFoundError:
            return []
        return [
            path.name
            for path in paths
            if path.is_file() and not path.is_symlink() and _stamp(path) < before
        ]


def _stamp(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
