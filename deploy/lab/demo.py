"""The first server: booted by the REST API like any tenant's, watched, and proved to answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from deploy.lab import cloud, proof
from deploy.lab.api_client import Compute
from deploy.lab.names import HostNames, Lab
from deploy.lab.programs import LabError, run
from deploy.lab.progress import console, stage, tail

NAME = "demo-1"
KEYPAIR = "demo"
_BUILD_SECONDS = 180.0
_CONSOLE_LINES = 8
_POLL = 0.15  # seconds


def show_first_server(lab: Lab, client: cloud.Client, hosts: list[HostNames]) -> None:
    """Make the demo server, or keep the one that is there, and prove that it answers."""
    with Compute(client) as compute:
        _import_key(lab, compute)
        server = _existing(compute) or _boot(lab, compute)
    _print_table(server)
    if not hosts:
        return  # fake hosts boot nothing that could answer
    host = host_of(hosts, server["id"])
    proof.prove(lab, host, server)
    _print_console(console_log(host, server["id"]))


def host_of(hosts: list[HostNames], server_id: int) -> HostNames:
    """The host that keeps the server. Raises LabError when none does."""
    for host in hosts:
        if console_log(host, server_id).parent.exists():
            return host
    raise LabError(f"no host has a directory of server {server_id}")


def console_log(host: HostNames, server_id: int) -> Path:
    """What the guest wrote to its serial port."""
    return host.state / "servers" / str(server_id) / "console.log"


def _import_key(lab: Lab, compute: Compute) -> None:
    public = lab.demo_key.with_suffix(".pub")
    if not (lab.demo_key.exists() and public.exists()):
        lab.demo_key.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-C", "demo", "-f",
            lab.demo_key)  # fmt: skip
    if not compute.has_keypair(KEYPAIR):
        compute.import_keypair(KEYPAIR, public.read_text().strip())


def _existing(compute: Compute) -> dict[str, Any] | None:
    """The demo server if it is usable; one that is not is deleted."""
    server = next((s for s in compute.servers() if s["name"] == NAME), None)
    if server is None:
        return None
    if server["status"].startswith("BUILD"):
        server = _watch(compute, server["id"])
    if server["status"] == "ACTIVE":
        console.print(f"[green]✓[/] Server {server['id']} ({NAME}) is there and ACTIVE")
        return server
    console.print(f"Server {server['id']} ({NAME}) is {server['status']}: a new one replaces it")
    _delete(compute, server["id"])
    return None


def _delete(compute: Compute, server_id: int) -> None:
    compute.delete(server_id)
    end = time.monotonic() + _BUILD_SECONDS
    while compute.server(server_id) is not None:
        if time.monotonic() > end:
            raise LabError(
                f"server {server_id} is not gone {_BUILD_SECONDS:.0f} s after its delete"
            )
        time.sleep(_POLL)


def _boot(lab: Lab, compute: Compute) -> dict[str, Any]:
    with stage(f"Server {NAME} is asked for"):
        image = compute.image_named(cloud.IMAGE)
        flavor = compute.flavor_named(cloud.FLAVOR)
        made = compute.create(name=NAME, flavorRef=flavor, imageRef=image, key_name=KEYPAIR)
    server = _watch(compute, made["id"])
    if server["status"] != "ACTIVE":
        raise _failure(lab, server)
    return server


def _watch(compute: Compute, server_id: int) -> dict[str, Any]:
    """Show each state as it is reached, until the server is at rest."""
    begin, shown = time.monotonic(), ""
    while time.monotonic() < begin + _BUILD_SECONDS:
        server = compute.server(server_id)
        if server is None:
            raise LabError(f"server {server_id} disappeared while it was built")
        if server["status"] != shown:
            shown = server["status"]
            console.print(f"    [cyan]{escape(shown)}[/] [dim]{time.monotonic() - begin:.1f} s[/]")
        if not shown.startswith("BUILD"):
            return server
        time.sleep(_POLL)
    raise LabError(f"server {server_id} is still {shown} after {_BUILD_SECONDS:.0f} s; "
                   f"deploy/undercast server timeline {server_id} says why")  # fmt: skip


def _failure(lab: Lab, server: dict[str, Any]) -> LabError:
    fault = server.get("fault", {}).get("message", "no fault is given")
    return LabError(
        f"server {server['id']} is {server['status']}: {fault}."
        f" deploy/undercast server timeline {server['id']} tells its story",
        lab.log / "scheduler.log",
    )


def _print_table(server: dict[str, Any]) -> None:
    table = Table("id", "name", "status", "addresses")
    addresses = (entry["addr"] for network in server["addresses"].values() for entry in network)
    table.add_row(str(server["id"]), server["name"], server["status"], ", ".join(addresses))
    console.print(table)


def _print_console(log: Path) -> None:
    console.print(f"Its console ends with [dim]({log})[/]:")
    for line in tail(log, _CONSOLE_LINES):
        console.print(f"  [dim]{escape(line)}[/]", soft_wrap=True)
