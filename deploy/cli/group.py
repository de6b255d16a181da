"""``undercast group`` (R237-R254)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from sqlalchemy import Connection

from db.queries import group_state, security_groups_admin
from db.queries.group_state import HostStatus
from db.queries.security_groups_admin import GroupRule, GroupSummary
from db.settings import settings
from deploy.cli import database
from deploy.cli.errors import NotFound, Refused
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
GroupArgument = Annotated[
    str, typer.Argument(metavar="GROUP", help="Integer id or name of the security group.")
]
TenantOption = Annotated[str | None, typer.Option(help="Of this tenant, by name or id.")]
_POLL = 0.2  # seconds between two looks
_MOST_CANDIDATES = 10


def _ports(rule: GroupRule) -> str:
    if rule.protocol is None:
        return "all"
    if rule.protocol == "icmp":
        kind = "all types" if rule.from_port == -1 else f"type {rule.from_port}"
        code = "all codes" if rule.to_port == -1 else f"code {rule.to_port}"
        return "all" if (rule.from_port, rule.to_port) == (-1, -1) else f"{kind}, {code}"
    if rule.from_port == rule.to_port:
        return str(rule.from_port)
    return f"{rule.from_port}-{rule.to_port}"


def _state(host: HostStatus) -> str:
    if host.silence is None:
        state = "silent (never heard)"
    elif _is_silent(host):
        state = f"silent for {duration(host.silence)}"
    else:
        state = "alive"
    return state if host.enabled else f"{state}, disabled"


def _is_in_force(host: HostStatus) -> bool:
    """What a silent host said last is no proof: its rules may be gone with its power."""
    return host.in_force and not _is_silent(host)


def _in_force(host: HostStatus) -> str:
    if _is_in_force(host):
        return "yes"
    if host.in_force:
        return "unknown"
    return f"no: {host.error}" if host.error else "no"


def _is_silent(host: HostStatus) -> bool:
    return host.silence is None or host.silence > settings().silent_seconds


_COLUMNS: Columns = {
    "id": "id",
    "name": "name",
    "tenant": "tenant",
    "zone": "zone",
    "rules": "rules",
    "servers": "servers",
    "description": "description",
}
_DETAILS: Columns = {
    "id": "id",
    "name": "name",
    "tenant": lambda group: f"{group.tenant} ({group.tenant_id})",
    "zone": "zone",
    "description": "description",
    "servers": "servers",
    "source of rules in": lambda group: ", ".join(group.source_of),
    "generation": "generation",
}
_RULES: Columns = {
    "id": "id",
    "protocol": lambda rule: rule.protocol or "any",
    "ports or types": _ports,
    "from": lambda rule: rule.cidr or f"group {rule.source} ({rule.source_id})",
}
_HOSTS: Columns = {
    "host": "host",
    "state": _state,
    "servers": "servers",
    "wanted": "wanted",
    "applied": "applied",
    "since": "applied_at",
    "in force": _in_force,
}


@app.callback()
def group() -> None:
    """Security groups of all tenants: their rules, and where they are in force."""


@app.command("list")
def list_groups(tenant: TenantOption = None, format: FormatOption = Format.table) -> None:
    """List the groups, by tenant."""
    with database.transaction() as conn:
        rows = security_groups_admin.list_all(conn, tenant_id=_tenant_id(conn, tenant))
    show_list(rows, _COLUMNS, format)


@app.command()
def show(
    group: GroupArgument, tenant: TenantOption = None, format: FormatOption = Format.table
) -> None:
    """Show a group and what its rules let in."""
    with database.transaction() as conn:
        found = _find(conn, group, tenant)
        rules = security_groups_admin.rules(conn, found.id)
    record = {**plain(found), "rules": plain(rules)} if format is Format.json else found
    show_one(record, _DETAILS, format)
    if format is Format.table:
        say("")
        show_list(rules, _RULES, format)


@app.command()
def status(
    group: GroupArgument,
    tenant: TenantOption = None,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="Until it is in force everywhere, or else fail."
        ),
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Show on which hosts a group is in force as it is now.

    Those are the hosts of its servers, and of the servers of groups that have it as a source.
    Every change of its rules or servers makes a new generation; a host applies the newest.
    """
    until = time.monotonic() + (wait or 0)
    with database.transaction() as conn:
        found = _find(conn, group, tenant)
        hosts = group_state.status(conn, found.id)
    while not _everywhere(hosts) and (left := until - time.monotonic()) > 0:
        time.sleep(min(_POLL, left))
        with database.transaction() as conn:
            found = _find(conn, str(found.id), None)
            hosts = group_state.status(conn, found.id)
    _show_status(found, hosts, format)
    if wait is not None and not _everywhere(hosts):
        late = "; ".join(_why(host) for host in hosts if not _is_in_force(host))
        raise Refused(f"After {wait:g} s the group is not in force on {late}.")


def _everywhere(hosts: Sequence[HostStatus]) -> bool:
    return all(_is_in_force(host) for host in hosts)


def _show_status(group: GroupSummary, hosts: Sequence[HostStatus], format: Format) -> None:
    if format is Format.json:
        record = {
            "id": group.id, "name": group.name, "tenant_id": group.tenant_id,
            "tenant": group.tenant, "zone": group.zone, "generation": group.generation,
            "in_force": _everywhere(hosts),
            "hosts": [
                {**asdict(host), "in_force": _is_in_force(host), "alive": not _is_silent(host)}
                for host in hosts
            ],
        }  # fmt: skip
        show_one(record, {}, format)
        return
    in_force = sum(map(_is_in_force, hosts))
    sums = f"in force on {in_force} of {len(hosts)} hosts" if hosts else "it concerns no host now"
    say(f"Group {group.id} {group.name} of {group.tenant}: generation {group.generation}, {sums}\n")
    show_list(hosts, _HOSTS, format)


def _why(host: HostStatus) -> str:
    reason = f"has generation {host.applied} of {host.wanted}"
    if host.applied is None:
        reason = "has said nothing of it"
    elif host.applied >= host.wanted:
        reason = host.error or "and what it has now is not known"
    return f"{host.host} ({_state(host)}, {reason})"


def _tenant_id(conn: Connection, tenant: str | None) -> str | None:
    return None if tenant is None else database.tenant(conn, tenant).id


def _find(conn: Connection, key: str, tenant: str | None) -> GroupSummary:
    found = security_groups_admin.find(conn, key, tenant_id=_tenant_id(conn, tenant))
    if not found:
        of = "" if tenant is None else f" of tenant {tenant}"
        raise NotFound(
            f"There is no security group {key}{of}; `undercast group list` shows those there are."
        )
    if len(found) > 1:
        ids = [f"{one.id} ({one.tenant}, {one.zone})" for one in found[:_MOST_CANDIDATES]]
        if more := len(found) - len(ids):
            ids.append(f"and {more} more")
        raise Refused(
            f"Several groups are named {key}; say which by its id or --tenant: {', '.join(ids)}."
        )
    return found[0]
