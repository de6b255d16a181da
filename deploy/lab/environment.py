"""The environment that the lab's processes get: nothing leaks in from whoever runs ``up``."""

from __future__ import annotations

import hashlib
from pathlib import Path

from deploy.lab.names import REPO, VARIABLE, Lab

_PACKAGES = ("api", "scheduler", "compute_agent", "db")


def clean(lab: Lab) -> dict[str, str]:
    """Environment of supervisors, and so of all that they start."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(REPO),
        "PYTHONUNBUFFERED": "1",
        VARIABLE: lab.name,
    }


def version(*configuration: Path) -> str:
    """Changes whenever Undercast's own code, or one of these files, does.

    It is part of each program's environment, so that the supervisor starts what has changed anew,
    and nothing else.
    """
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((REPO / package).rglob("*.py")):
            found = path.stat()
            digest.update(f"{path}:{found.st_mtime_ns}:{found.st_size}\n".encode())
    return _with_files(digest, configuration)


def file_version(*configuration: Path) -> str:
    """Changes whenever one of these files does."""
    return _with_files(hashlib.sha256(), configuration)


def _with_files(digest: hashlib._Hash, paths: tuple[Path, ...]) -> str:
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
