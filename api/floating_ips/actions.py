"""Server actions addFloatingIp and removeFloatingIp (R226, R227, D40, D41)."""

import ipaddress
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Authorized
from api.database import write
from api.faults import BadRequest, InProgress, NotFound
from api.wire.render import render
from db.queries import floating_ips
from db.queries.server_actions import NotNow
from db.queries.server_locks import UnknownServer
from db.queries.servers import ServerDetail
from db.scope import Scope
from scheduler.nudge import look_at

Change = Callable[[Connection, Scope, int, str], list[str]]


async def add_address(
    caller: Authorized, server: ServerDetail, value: Any, request: Request
) -> Response:
    """The address leads to the server, wherever it led to before."""
    await _change(caller, server, value, floating_ips.associate)
    return render(request, status=202)


async def remove_address(
    caller: Authorized, server: ServerDetail, value: Any, request: Request
) -> Response:
    """The address leads nowhere, and stays the tenant's."""
    await _change(caller, server, value, floating_ips.disassociate)
    return render(request, status=202)


async def _change(caller: Authorized, server: ServerDetail, value: Any, change: Change) -> None:
    address = _address(value)
    try:
        hosts = await write(change, caller.scope, server.id, address)
    except (UnknownServer, floating_ips.UnknownAddress):
        raise NotFound from None
    except NotNow as refusal:
        raise InProgress(str(refusal)) from None
    except floating_ips.NotAllocated:
        raise BadRequest(f"Address ({address}) is not allocated to your project") from None
    except floating_ips.NoFixedAddress:
        raise BadRequest("No fixed ips associated to instance") from None
    except floating_ips.NotAssociated:
        raise BadRequest("Floating ip is not associated") from None
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
