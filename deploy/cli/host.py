"""``undercast host``."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy import Connection

from db.queries import hosts, servers_admin
from db.queries.hosts import HostSummary
from db.settings import settings
from deploy.cli import database
from deploy.cli.errors import NotFound
from deploy.cli.output import (
    Columns,
    Format,
    FormatOption,
    duration,
    plain,
    say,
    show_list,
    show_one,
)

app = typer.Typer(no_args_is_help=True)
HostArgument = Annotated[str, typer.Argument(help="Name of the host.")]


def _state(host: HostSummary) -> str:
    if host.silence is None:
        return "silent (never heard)"
    return "alive" if host.alive else f"silent for {duration(host.silence)}"


def _enabled(host: HostSummary) -> str:
    reason = f" ({host.disabled_reason})" if host.disabled_reason else ""
    return "enabled" if host.enabled else f"disabled{reason}"


_COLUMNS: Columns = {
    "name": "name",
    "zone": "zone",
    "state": _state,
    "new servers": _enabled,
    "hypervisor": "hypervisor",
    "servers": "servers",
    "vcpus": lambda host: f"{host.used_vcpus}/{host.total_vcpus}",
    "memory MB": lambda host: f"{host.used_ram_mb}/{host.total_ram_mb}",
    "disk GB": lambda host: f"{host.used_disk_gb}/{host.total_disk_gb}",
}
_DETAILS: Columns = {
    **_COLUMNS,
    "management address": "management_address",
    "ratios": lambda host: (
        f"vcpus {host.vcpu_ratio:g}, memory {host.ram_ratio:g}, disk {host.disk_ratio:g}"
    ),
    "reserved memory MB": "reserved_ram_mb",
    "heard at": "heard_at",
    "since": "created_at",
}
_SERVERS: Columns = {
    "id": "id",
    "name": "name",
    "tenant": "tenant",
    "status": "status",
    "flavor": "flavor",
    "fixed": "fixed",
}


@app.callback()
def host() -> None:
    """Compute hosts: alive, enabled, how full."""


@app.command("list")
def list_hosts(format: FormatOption = Format.table) -> None:
    """List the hosts; used of what may be promised."""
    with database.transaction() as conn:
        rows = hosts.list_all(conn, silent=settings().silent_seconds)
    show_list(rows, _COLUMNS, format)


@app.command()
def show(name: HostArgument, format: FormatOption = Format.table) -> None:
    """Show a host and the servers on it."""
    with database.transaction() as conn:
        found = _find(conn, name)
        guests = servers_admin.list_all(conn, host=name)
    record = {**plain(found), "on_host": plain(guests)} if format is Format.json else found
    show_one(record, _DETAILS, format)
    if format is Format.table:
        say("")
        show_list(guests, _SERVERS, format)


@app.command()
def enable(name: HostArgument, format: FormatOption = Format.table) -> None:
    """Let new servers come to a host."""
    _set(name, enabled=True, reason=None, format=format)


@app.command()
def disable(
    name: HostArgument,
    reason: Annotated[str, typer.Option(help="Why, for your colleagues.")],
    format: FormatOption = Format.table,
) -> None:
    """Let no new server come to a host. Those on it stay and go on."""
    _set(name, enabled=False, reason=reason, format=format)


def _set(name: str, *, enabled: bool, reason: str | None, format: Format) -> None:
    with database.transaction() as conn:
        hosts.set_enabled(conn, name, enabled=enabled, reason=reason)
        found = _find(conn, name)
    show_one(found, _DETAILS, format)


def _find(conn: Connection, name: str) -> HostSummary:
    found = hosts.find(conn, name, silent=settings().silent_seconds)
    if found is None:
        raise NotFound(f"There is no host {name}.")
    return found
