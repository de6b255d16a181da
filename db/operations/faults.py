"""Injected faults, for tests: a worker dies, fails, or does a step twice, where a file says so.

A file ``<kind>.<step>.before`` or ``.after`` in ``settings().fault_dir`` makes the process kill
itself (SIGKILL) before the step's effect, or after it and before its commit; ``.twice`` makes it do
the effect twice; ``.fail`` makes the host unable to do it. Each file is used once. Without the
setting nothing is looked at.
"""

import os
import signal
from pathlib import Path

from db.operations.errors import HostFault
from db.settings import settings


def _taken(kind: str, step: str, point: str) -> bool:
    directory: Path | None = settings().fault_dir
    if directory is None:
        return False
    try:
        (directory / f"{kind}.{step}.{point}").unlink()
    except FileNotFoundError:
        return False
    return True


def stop_here(kind: str, step: str, point: str) -> None:
    """Die without any clean-up when a test asked for it."""
    if _taken(kind, step, point):
        os.kill(os.getpid(), signal.SIGKILL)


def twice(kind: str, step: str) -> bool:
    """Whether the effect is to be done a second time."""
    return _taken(kind, step, "twice")


def fail(kind: str, step: str) -> None:
    """Raise HostFault when a test asked for it."""
    if _taken(kind, step, "fail"):
        raise HostFault(f"Injected fault in {step}")
