"""Proof that a guest answers: by its fixed address, by its public one, and by ssh with its key.

The key is in the guest only because the guest got it from the metadata service.
"""

from __future__ import annotations

import ipaddress
import time
from pathlib import Path
from typing import Any

from deploy.lab import files
from deploy.lab.names import HostNames, Lab
from deploy.lab.programs import LabError, attempt
from deploy.lab.progress import console, stage

_ANSWER_SECONDS = 90.0  # a guest boots in 5 to 20 s under emulation
_FIXED = ipaddress.ip_network("10.0.0.0/8")


def prove(lab: Lab, host: HostNames, server: dict[str, Any]) -> None:
    """Ping and ssh. Raises LabError naming the console log when the guest does not answer."""
    fixed, public = addresses(server)
    inside, outside = host.namespace, lab.namespace("out")
    log = host.state / "servers" / str(server["id"]) / "console.log"
    with stage(f"{fixed} answers ping from {inside}"):
        _until(_ping(inside, fixed), log)
    with stage(f"{public} answers ping from {outside}"):
        _until(_ping(outside, public), log)
    known = files.directory(lab.run / "known_hosts", 0o700) / str(server["id"])
    with stage(f"ssh to root@{fixed} with the demo key, which came by the metadata service"):
        said = _until(_ssh(lab, inside, fixed, str(known)), log)
    console.print(f"    the guest says that its name is [bold]{said}[/]")


def addresses(server: dict[str, Any]) -> tuple[str, str]:
    """Fixed and public address of a server. Raises LabError when it lacks one."""
    found = [entry["addr"] for network in server["addresses"].values() for entry in network]
    fixed = [a for a in found if ipaddress.ip_address(a) in _FIXED]
    public = [a for a in found if ipaddress.ip_address(a) not in _FIXED]
    if not fixed or not public:
        raise LabError(f"server {server['id']} lacks an address: it has {found}")
    return fixed[0], public[0]


def _ping(namespace: str, address: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, "ping", "-n", "-q", "-c", "1", "-W", "1", address]


def _ssh(lab: Lab, namespace: str, address: str, known_hosts: str) -> list[str]:
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": known_hosts,
        "ConnectTimeout": "5",
        "LogLevel": "ERROR",
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return ["ip", "netns", "exec", namespace, "ssh", "-F", "none", *words,
            "-i", str(lab.demo_key), f"root@{address}", "hostname"]  # fmt: skip


def _until(argv: list[str], log: Path) -> str:
    """Repeat a command until it succeeds; returns what it printed."""
    end = time.monotonic() + _ANSWER_SECONDS
    while True:
        done = attempt(*argv, timeout=20)
        if done.returncode == 0:
            return done.stdout.strip()
        if time.monotonic() > end:
            words = (done.stderr.strip() or done.stdout.strip())[-300:]
            raise LabError(f"no answer within {_ANSWER_SECONDS:.0f} s: {words}", log)
        time.sleep(0.2)
