"""``down``: stop all that ``up`` started, then look whether anything is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from pathlib import Path

from deploy.lab import cgroups, controller, fabric, names
from deploy.lab.names import Lab
from deploy.lab.programs import LabError
from deploy.lab.progress import stage, wait

_STOP_SECONDS = 60.0
_END_SECONDS = 5.0


def down(lab: Lab, *, purge: bool) -> None:
    """Stop the lab. Raises LabError naming what could not be removed."""
    if controller.client(lab).is_running():
        with stage("Hosts, API and scheduler stop"):
            stop_programs(lab)
        with stage("Postgres, Redis and the supervisor stop"):
            stop_supervisor(lab)
    with stage("Nothing is left of processes, cgroups, namespaces, mounts"):
        cgroups.end(lab.cgroup)
        end_strangers(lab)
        fabric.down(lab)
        if left := leftovers(lab):
            raise LabError("still there: " + "; ".join(left))
    if purge:
        with stage(f"{lab.state} is removed"):
            remove_state(lab)


def stop_programs(lab: Lab) -> None:
    """Stop everything but Postgres and Redis, all at once: they need those to end in peace."""
    client = controller.client(lab)
    names = set(client.states()) - {"postgres", "redis"}
    for name in names:
        client.stop(name, wait=False)
    wait(
        lambda: not names & set(client.pids()),
        "stopping hosts and programs",
        seconds=_STOP_SECONDS,
        log=lab.log / "supervisord.log",
    )


def stop_supervisor(lab: Lab) -> None:
    """Stop the supervisor and with it what it still runs."""
    client = controller.client(lab)
    client.shutdown()
    with contextlib.suppress(LabError):  # what does not end is killed next
        wait(lambda: not cgroups.members(f"{lab.cgroup}/ctl"), "ending", seconds=_STOP_SECONDS)


def end_strangers(lab: Lab) -> None:
    """End what somebody else started in the lab's namespaces, such as a shell: they must go."""
    end = time.monotonic() + _END_SECONDS
    while pids := {pid for name in fabric.namespaces(lab) for pid in fabric.processes(name)}:
        if time.monotonic() > end:
            raise LabError(f"processes in the lab's namespaces do not end: {sorted(pids)}")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def leftovers(lab: Lab) -> list[str]:
    """What is still there of a lab that should be down, in words."""
    found = [f"namespace {name}" for name in fabric.namespaces(lab)]
    found += [f"cgroup {path}" for path in cgroups.leftovers(lab.cgroup)]
    found += [f"process {pid}" for pid in sorted(cgroups.members(lab.cgroup))]
    found += [f"mount {point}" for point in _mounts_below(lab.state)]
    if _listens(lab.api_port):
        found.append(f"listener on 127.0.0.1:{lab.api_port}")
    return found


def remove_state(lab: Lab) -> None:
    """Remove what the lab kept; for the default lab its client settings too."""
    if lab.state.exists():
        shutil.rmtree(lab.state)
    if lab.name == names.DEFAULT:
        (names.BASE / "openrc").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # other labs live there
        names.BASE.rmdir()


def _mounts_below(path: Path) -> list[str]:
    points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [point for point in points if point == str(path) or point.startswith(f"{path}/")]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
