"""supervisord: its configuration as text, and talking to a running one.

One runs the controller's programs, one is the first process of every host. Each restarts what dies
with a back-off that grows by a second a try, and never gives up.
"""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.lab.programs import LabError

FOREVER = 1_000_000_000  # tries
_TIMEOUT = 90.0  # seconds for one call; stopping a program may take most of them
_LOG_BYTES = "10MB"
_LOG_BACKUPS = 3
UP_STATES = {"STARTING", "RUNNING"}


@dataclass(frozen=True, slots=True)
class Program:
    """A program that a supervisor keeps running."""

    name: str
    command: list[str]
    log: Path
    priority: int = 100  # lower starts earlier and stops later
    environment: Mapping[str, str] = field(default_factory=dict)
    autostart: bool = True
    stop_signal: str = "TERM"
    stop_seconds: int = 10  # then it is killed
    stop_group: bool = True  # signal the program's children too

    def render(self) -> str:
        """Section of the configuration."""
        values = {
            "command": " ".join(self.command),
            "directory": "/",
            "environment": ",".join(f'{key}="{value}"' for key, value in self.environment.items()),
            "priority": self.priority,
            "autostart": _word(self.autostart),
            "autorestart": "true",
            "startsecs": 1,
            "startretries": FOREVER,
            "stopsignal": self.stop_signal,
            "stopwaitsecs": self.stop_seconds,
            "stopasgroup": _word(self.stop_group),
            "killasgroup": _word(self.stop_group),
            "redirect_stderr": "true",
            "stdout_logfile": self.log,
            "stdout_logfile_maxbytes": _LOG_BYTES,
            "stdout_logfile_backups": _LOG_BACKUPS,
        }
        return _section(f"program:{self.name}", values)


def render(programs: list[Program], *, control: Path, pid_file: Path, log: Path) -> str:
    """Configuration of a supervisor that is spoken to by the unix socket ``control``."""
    sections = [
        _section("unix_http_server", {"file": control, "chmod": "0700"}),
        _section(
            "supervisord",
            {
                "user": "root",
                "nodaemon": "true",
                "directory": "/",
                "pidfile": pid_file,
                "logfile": log,
                "logfile_maxbytes": _LOG_BYTES,
                "logfile_backups": _LOG_BACKUPS,
                "loglevel": "info",
                "minfds": 4096,
            },
        ),
        _section(
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": ("supervisor.rpcinterface:make_main_rpcinterface")},
        ),
        _section("supervisorctl", {"serverurl": f"unix://{control}"}),
        *(program.render() for program in programs),
    ]
    return "; Written by deploy/up.\n" + "\n".join(sections)


def command(python: Path, configuration: Path) -> list[str]:
    """Command line of a supervisor that stays in the foreground."""
    return [str(python), "-m", "supervisor.supervisord", "-n", "-c", str(configuration)]


class Client:
    """A running supervisor, by its control socket. Methods raise LabError when it is away."""

    def __init__(self, control: Path) -> None:
        self._control = control
        server = xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(control))
        self._call: Any = server.supervisor

    def is_running(self) -> bool:
        """Whether it answers."""
        try:
            self.states()
        except LabError:
            return False
        return True

    def states(self) -> dict[str, str]:
        """State of every program, such as RUNNING or BACKOFF."""
        return {info["name"]: info["statename"] for info in self._do("getAllProcessInfo")}

    def pids(self) -> dict[str, int]:
        """Process id of every running program."""
        return {info["name"]: info["pid"] for info in self._do("getAllProcessInfo") if info["pid"]}

    def update(self) -> set[str]:
        """Read the configuration again; restart what changed and only that. Names of those."""
        ((added, changed, removed),) = self._do("reloadConfig")
        for name in [*changed, *removed]:
            self._do("stopProcessGroup", name)
            self._do("removeProcessGroup", name)
        for name in [*added, *changed]:
            self._do("addProcessGroup", name)
        return {*added, *changed, *removed}

    def start(self, name: str) -> None:
        """Start a program now, also one that waits for its next try. Does not wait for it."""
        state = self.states()[name]
        if state in UP_STATES:
            return
        if state == "BACKOFF":
            self.stop(name)
        self._do("startProcess", name, False)

    def stop(self, name: str, *, wait: bool = True) -> None:
        """Stop a program."""
        if self.states()[name] in UP_STATES | {"BACKOFF"}:
            self._do("stopProcess", name, wait)

    def shutdown(self) -> None:
        """Tell it to stop its programs and end."""
        self._do("shutdown")

    def _do(self, method: str, *arguments: object) -> Any:
        try:
            return getattr(self._call, method)(*arguments)
        except (OSError, http.client.HTTPException) as error:
            raise LabError(f"no supervisor answers at {self._control}: {error}") from error
        except xmlrpc.client.Fault as error:
            raise LabError(f"supervisor: {method} {arguments}: {error.faultString}") from error


class _Transport(xmlrpc.client.Transport):
    def __init__(self, control: Path) -> None:
        super().__init__()
        self._control = control

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _Connection(self._control)


class _Connection(http.client.HTTPConnection):
    def __init__(self, control: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._control = control

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(str(self._control))


def _section(name: str, values: Mapping[str, object]) -> str:
    """An INI section; supervisor expands %, so it is doubled."""
    lines = [f"{key} = {str(value).replace('%', '%%')}" for key, value in values.items()]
    return "\n".join([f"[{name}]", *lines, ""])


def _word(value: bool) -> str:
    return "true" if value else "false"
