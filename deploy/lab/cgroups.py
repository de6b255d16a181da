"""The lab's cgroups: how every one of its processes is found again, for sure.

Each process of a lab is started inside ``undercast-<lab>/ctl`` or ``undercast-<lab>/<host>``, and
what it starts stays below. Works with cgroup v2 and with v1 hierarchies mounted one by one. With v2
a group that hands controllers on may hold no processes, hence the leaves (``ctl``, and a host's
own ``init``).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.lab.programs import LabError

ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids")
_END_TIMEOUT = 10.0  # seconds for killed processes to be gone


def hierarchies() -> list[Path]:
    """Mount points of the hierarchies that labs use: one with v2, one per controller with v1.

    Raises LabError when the machine mounts none.
    """
    if is_v2():
        return [ROOT]
    found = [ROOT / name for name in CONTROLLERS if (ROOT / name / "cgroup.procs").exists()]
    if not found:
        raise LabError(f"no cgroups are mounted below {ROOT}; mount cgroup2 there")
    return list({path.resolve(): None for path in found})


def is_v2() -> bool:
    """Whether the machine has the unified hierarchy only."""
    return (ROOT / "cgroup.controllers").exists()


def join(group: str) -> None:
    """Put this process into ``group``, which is made where it is missing."""
    for hierarchy in hierarchies():
        parent = hierarchy
        for part in group.split("/"):
            _hand_on(parent)
            path = parent / part
            path.mkdir(exist_ok=True)
            _inherit_cpuset(parent, path)
            parent = path
        (parent / "cgroup.procs").write_text(str(os.getpid()))


def join_leaf() -> None:
    """Inside a new cgroup namespace: leave its root to groups below, which v2 asks for."""
    if not is_v2():
        return
    leaf = ROOT / "init"
    leaf.mkdir(exist_ok=True)
    (leaf / "cgroup.procs").write_text(str(os.getpid()))
    _hand_on(ROOT)


def members(group: str) -> set[int]:
    """Ids of all processes in ``group`` and below it."""
    pids: set[int] = set()
    for path in _groups(group):
        with contextlib.suppress(OSError):  # it was removed meanwhile
            pids.update(int(line) for line in (path / "cgroup.procs").read_text().split())
    return pids


def end(group: str) -> None:
    """Kill whatever is left in ``group`` and remove it. Raises LabError when something resists."""
    deadline = time.monotonic() + _END_TIMEOUT
    while left := members(group):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise LabError(f"processes do not end: {sorted(left)}")
        time.sleep(0.02)
    for path in sorted(_groups(group), key=lambda path: len(path.parts), reverse=True):
        _remove(path, deadline)


def leftovers(group: str) -> list[Path]:
    """Directories of ``group`` that still exist."""
    return [path for hierarchy in hierarchies() if (path := hierarchy / group).exists()]


def _groups(group: str) -> Iterator[Path]:
    for hierarchy in hierarchies():
        top = hierarchy / group
        if top.exists():
            yield top
            yield from (Path(path) / name for path, names, _ in os.walk(top) for name in names)


def _remove(path: Path, deadline: float) -> None:
    """Remove an empty group; the kernel needs a moment after its last process."""
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise LabError(f"cannot remove the cgroup {path}") from None
            time.sleep(0.02)
        else:
            return


def _hand_on(path: Path) -> None:
    """Let groups below ``path`` use its controllers (v2)."""
    if not is_v2():
        return
    offered = set((path / "cgroup.controllers").read_text().split()) & set(CONTROLLERS)
    for controller in offered:
        with contextlib.suppress(OSError):  # not every controller can be handed on everywhere
            (path / "cgroup.subtree_control").write_text(f"+{controller}")


def _inherit_cpuset(parent: Path, path: Path) -> None:
    """Give a new v1 cpuset its processors and memory nodes: it starts with none."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own = path / name
        if not is_v2() and own.exists() and not own.read_text().strip():
            own.write_text((parent / name).read_text())
