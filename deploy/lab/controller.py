"""The controller of a lab: its programs, and the supervisor that runs them and boots the hosts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from deploy.lab import cgroups, environment, files, postgres, redis, settings_files, supervisor
from deploy.lab.names import MAX_HOSTS, PYTHON, Lab
from deploy.lab.programs import LabError
from deploy.lab.supervisor import Program

Hypervisor = Literal["libvirt", "fake"]
_BACKLOG = 2048  # connections that wait to be accepted


@dataclass(frozen=True, slots=True)
class Shape:
    """What a lab consists of; kept, so that ``up`` without options means the same lab again."""

    hosts: int = 2
    hypervisor: Hypervisor = "libvirt"

    def __post_init__(self) -> None:
        if not 1 <= self.hosts <= MAX_HOSTS:
            raise ValueError(f"a lab has 1 to {MAX_HOSTS} hosts, not {self.hosts}")

    @classmethod
    def of(cls, lab: Lab) -> Shape | None:
        """Shape of the lab as it was last brought up."""
        try:
            return cls(**json.loads((lab.state / "lab.json").read_text()))
        except FileNotFoundError:
            return None

    def keep(self, lab: Lab) -> None:
        """Remember it."""
        files.write(lab.state / "lab.json", json.dumps(asdict(self)) + "\n")

    @property
    def real_hosts(self) -> int:
        """How many hosts have namespaces."""
        return self.hosts if self.hypervisor == "libvirt" else 0

    @property
    def fake_hosts(self) -> int:
        """How many hosts boot nothing."""
        return self.hosts if self.hypervisor == "fake" else 0


def client(lab: Lab) -> supervisor.Client:
    """The controller's supervisor."""
    return supervisor.Client(control(lab))


def control(lab: Lab) -> Path:
    """Its control socket."""
    return lab.run / "supervisor.sock"


def supervisord_conf(lab: Lab) -> Path:
    """Its configuration."""
    return lab.state / "supervisord.conf"


def prepare(lab: Lab, shape: Shape, chosen: settings_files.Values) -> None:
    """Write the files of the controller's programs."""
    files.directory(lab.log, 0o700)
    files.directory(lab.state / "images", 0o700)
    postgres.prepare(lab)
    redis.prepare(lab)
    settings_files.write(
        lab.settings_file, settings_files.controller(lab, chosen, fake_hosts=shape.fake_hosts)
    )
    text = supervisor.render(
        programs(lab, shape),
        control=control(lab),
        pid_file=lab.run / "supervisord.pid",
        log=lab.log / "supervisord.log",
    )
    files.write(supervisord_conf(lab), text, mode=0o600)


def programs(lab: Lab, shape: Shape) -> list[Program]:
    """What the supervisor runs.

    ``up`` starts Undercast's own programs and the hosts, once the schema is there; from then on
    they are kept running like the others.
    """
    postgres_conf = [postgres.data(lab) / name for name in ("postgresql.conf", "pg_hba.conf")]
    redis_conf = lab.state / "redis" / "redis.conf"
    found = [
        _inside(lab, "postgres", postgres.command(lab), 10, stop_signal="INT", stop_seconds=30,
                stop_group=False, version=environment.file_version(*postgres_conf)),
        _inside(lab, "redis", redis.command(lab), 10,
                version=environment.file_version(redis_conf)),
        _ours(lab, "scheduler"),
        _ours(lab, "api"),
    ]  # fmt: skip
    if shape.fake_hosts:
        found.append(_ours(lab, "agent"))
    found += [
        Program(
            host.name, [str(PYTHON), "-m", "deploy.lab", "boot", host.name],
            lab.log / f"{host.name}.log", priority=30, autostart=False, stop_seconds=15,
        )
        for host in lab.hosts(shape.real_hosts)
    ]  # fmt: skip
    return found


def own_programs(shape: Shape) -> list[str]:
    """Undercast's programs on the controller."""
    return ["scheduler", "api", *(["agent"] if shape.fake_hosts else [])]


def run(lab: Lab) -> None:
    """Become the supervisor, inside the lab's cgroup: replaces this process."""
    cgroups.join(f"{lab.cgroup}/ctl")
    argv = supervisor.command(PYTHON, supervisord_conf(lab))
    os.execve(argv[0], argv, environment.clean(lab))  # noqa: S606 - no shell is meant


def spawn(lab: Lab) -> None:
    """Start the supervisor, detached. What a dead one left running is ended first."""
    cgroups.end(lab.cgroup)
    control(lab).unlink(missing_ok=True)
    with (lab.log / "supervisord.out").open("ab") as out:
        subprocess.Popen(
            [str(PYTHON), "-m", "deploy.lab", "controller"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, cwd="/", env=environment.clean(lab),
        )  # fmt: skip


def launch(lab: Lab, name: str) -> None:
    """Become one of Undercast's own programs: replaces this process.

    It runs in a cgroup of its own, so that workers which outlived a killed predecessor, and may
    still hold its socket, are ended first. (supervisord can hand on a socket too, but it dies of
    one that is still in use.)
    """
    group = f"{lab.cgroup}/{name}"
    cgroups.end(group)
    cgroups.join(group)
    more = {"UNDERCAST_CONFIG": str(lab.settings_file)}
    if name == "api":
        os.dup2(_listen(lab.api_port), 0)
        more["UNDERCAST_API_FD"] = "0"
    module = "compute_agent" if name == "agent" else name
    argv = ["ip", "netns", "exec", lab.namespace("ctl"), str(PYTHON), "-m", module]
    os.execve("/usr/sbin/ip", argv, environment.clean(lab) | more)  # noqa: S606 - no shell


def _listen(port: int) -> int:
    """The lab's one socket outside its namespaces. Raises LabError when the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise LabError(f"127.0.0.1:{port}: {error.strerror}") from error
    listener.listen(_BACKLOG)
    return listener.detach()


def _ours(lab: Lab, name: str) -> Program:
    """A program of Undercast itself."""
    return Program(
        name, [str(PYTHON), "-m", "deploy.lab", "launch", name], lab.log / f"{name}.log",
        priority=50, autostart=False,
        environment={"VERSION": environment.version(lab.settings_file)},
    )  # fmt: skip


def _inside(
    lab: Lab,
    name: str,
    command: list[str],
    priority: int,
    *,
    version: str,
    stop_signal: str = "TERM",
    stop_seconds: int = 10,
    stop_group: bool = True,
) -> Program:
    """A program in the controller's network namespace."""
    return Program(
        name,
        ["/usr/sbin/ip", "netns", "exec", lab.namespace("ctl"), *command],
        lab.log / f"{name}.log",
        priority=priority,
        environment={"VERSION": version},
        stop_signal=stop_signal,
        stop_seconds=stop_seconds,
        stop_group=stop_group,
    )
