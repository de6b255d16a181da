"""Files that are written whole or not at all, and the secrets that the lab makes up."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

PASSABLE = 0o711  # qemu, Postgres and Redis run as others and must reach what is theirs


def directory(path: Path, mode: int = PASSABLE, owner: str | None = None) -> Path:
    """Make a directory with its parents; sets mode and owner also when it is there already."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    if owner is not None:
        shutil.chown(path, owner, owner)
    return path


def write(path: Path, text: str, mode: int = 0o644, owner: str | None = None) -> bool:
    """Make ``text`` the file's content, by rename; returns whether it was another before."""
    try:
        if path.read_text() == text and path.stat().st_mode & 0o777 == mode:
            return False
    except FileNotFoundError:
        pass
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)
    if owner is not None:
        shutil.chown(new, owner, owner)
    new.rename(path)
    return True


def secret(path: Path) -> str:
    """A random password (32 hexadecimal digits) kept in a file for root alone; made once."""
    directory(path.parent, 0o700)
    if not path.exists():
        write(path, secrets.token_hex(16) + "\n", mode=0o600)
    return path.read_text().strip()
