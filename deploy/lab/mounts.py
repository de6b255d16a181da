"""Mounts made by the kernel's own call, also of directories whose path is covered by now."""

from __future__ import annotations

import ctypes
import os
from enum import IntFlag
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


class Flags(IntFlag):
    """Flags of mount(2)."""

    NOSUID = 2
    NOEXEC = 8
    NODEV = 4
    BIND = 4096
    RECURSIVE = 16384
    PRIVATE = 1 << 18


def mount(source: str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Make one mount. Raises OSError naming the target."""
    words = [word.encode() for word in (source, str(target), kind)]
    if _libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {kind or source}: {os.strerror(code)}", str(target))


def bind(source: Path | int, target: Path) -> None:
    """Show a file or directory at ``target`` too. An int is a descriptor opened with O_PATH."""
    name = f"/proc/self/fd/{source}" if isinstance(source, int) else str(source)
    mount(name, target, flags=Flags.BIND | Flags.RECURSIVE)


def tmpfs(target: Path, mode: int = 0o755) -> None:
    """Cover a directory with an empty one in memory."""
    target.mkdir(parents=True, exist_ok=True)
    mount("tmpfs", target, "tmpfs", Flags.NOSUID, f"mode={mode:o}")


def hold(path: Path) -> int:
    """Open a file or directory so that :func:`bind` reaches it later; close the result."""
    return os.open(path, os.O_PATH | os.O_CLOEXEC)
