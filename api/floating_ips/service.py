"""Allocating and releasing floating addresses, and moving them between servers."""

import ipaddress
from typing import Any

from api.auth import Authorized
from api.database import read, write
from api.faults import BadRequest, InProgress, NotFound, OverLimit
from api.wire.body import MALFORMED
from api.wire.fields import path_id, path_id_or_uuid
from db import quota
from db.queries import floating_ips
from db.queries.floating_ips import FloatingRow
from db.queries.server_locks import StateForbids, UnknownServer
from db.scope import Scope
from db.settings import settings
from scheduler.nudge import look_at

# Texts of faults (D40).
OVER_QUOTA = "Address quota exceeded. You cannot allocate any more addresses"
NONE_LEFT = "No more floating ips available."
NONE_LEFT_IN_POOL = "No more floating ips in pool {}."
NOT_ALLOCATED = "Address ({}) is not allocated to your project"
NO_FIXED_ADDRESS = "No fixed ips associated to instance"
NOT_ASSOCIATED = "Floating ip is not associated"


async def show(scope: Scope, floating_id: str) -> FloatingRow:
    """A floating address by the id of a path (R225)."""
    found = await read(floating_ips.find, scope, path_id(floating_id))
    if found is None:
        raise NotFound
    return found


async def allocate(scope: Scope, pool: Any) -> FloatingRow:
    """Give the tenant an address of a pool, of any when there is no name (R223, D80)."""
    if not isinstance(pool, str | None):
        raise BadRequest(MALFORMED)
    pool = (pool or "").strip() or None
    try:
        return await write(
            floating_ips.allocate, scope, pool=pool,
            quarantine=settings().address_quarantine_seconds,
        )  # fmt: skip
    except quota.QuotaExceeded:
        raise OverLimit(OVER_QUOTA) from None
    except floating_ips.UnknownPool:
        raise NotFound from None
    except floating_ips.NoneLeft:
        raise BadRequest(NONE_LEFT_IN_POOL.format(pool) if pool else NONE_LEFT) from None


async def deallocate(scope: Scope, floating_id: str) -> None:
    """Take an address off its server and off its tenant (R225, D42)."""
    hosts = await write(floating_ips.release, scope, path_id(floating_id))
    if hosts is None:
        raise NotFound
    look_at(hosts)


async def add_to_server(caller: Authorized, server_id: str, value: Any) -> None:
    """Action addFloatingIp (R226, D40)."""
    await _move(caller.scope, server_id, value, add=True)


async def remove_from_server(caller: Authorized, server_id: str, value: Any) -> None:
    """Action removeFloatingIp (R227, D40, D41)."""
    await _move(caller.scope, server_id, value, add=False)


async def _move(scope: Scope, server_id: str, value: Any, *, add: bool) -> None:
    which, address = path_id_or_uuid(server_id), _address(value)
    change = floating_ips.associate if add else floating_ips.disassociate
    try:
        hosts = await write(change, scope, which, address)
    except (UnknownServer, floating_ips.UnknownAddress):
        raise NotFound from None
    except StateForbids as task:
        action = "addFloatingIp" if add else "removeFloatingIp"
        raise InProgress(f"Cannot '{action}' while instance is in task_state {task}") from None
    except floating_ips.NotAllocated:
        raise BadRequest(NOT_ALLOCATED.format(address)) from None
    except floating_ips.NoFixedAddress:
        raise BadRequest(NO_FIXED_ADDRESS) from None
    except floating_ips.NotAssociated:
        raise BadRequest(NOT_ASSOCIATED) from None
    look_at(hosts)


def _address(value: Any) -> str:
    """Address that an action is about. Raises NotFound for a text that is none."""
    if not isinstance(value, dict):
        raise BadRequest("Missing parameter dict")
    address = value.get("address")
    if not isinstance(address, str) or not address.strip():
        raise BadRequest("Address not specified")
    try:
        return str(ipaddress.IPv4Address(address.strip()))
    except ValueError:
        raise NotFound from None
