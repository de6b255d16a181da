"""Server actions addSecurityGroup and removeSecurityGroup (R253, D48)."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Authorized
from api.database import write
from api.faults import BadRequest, InProgress, NotFound
from api.security_groups.service import UNKNOWN_GROUP
from api.wire.render import render
from db.queries import security_group_changes as changes
from db.queries.server_actions import NotNow
from db.queries.server_locks import UnknownServer
from db.queries.servers import ServerDetail
from db.scope import Scope
from scheduler.nudge import look_at

Change = Callable[[Connection, Scope, int, str], list[str]]


async def add_group(
    caller: Authorized, server: ServerDetail, value: Any, request: Request
) -> Response:
    """The server becomes a member of a group."""
    await _change(caller, server, value, changes.join, "is already")
    return render(request, status=202)


async def remove_group(
    caller: Authorized, server: ServerDetail, value: Any, request: Request
) -> Response:
    """The server is a member of a group no more."""
    await _change(caller, server, value, changes.leave, "is not")
    return render(request, status=202)


async def _change(
    caller: Authorized, server: ServerDetail, value: Any, change: Change, state: str
) -> None:
    name = _group_name(value)
    try:
        hosts = await write(change, caller.scope, server.id, name)
    except UnknownServer:
        raise NotFound from None
    except NotNow as refusal:
        raise InProgress(str(refusal)) from None
    except changes.UnknownGroup:
        raise NotFound(UNKNOWN_GROUP.format(name)) from None
    except changes.Membership as found:
        raise BadRequest(
            f"Security group {found.group_id} {state} associated with the instance {server.id}"
        ) from None
    look_at(hosts)


def _group_name(value: Any) -> str:
    """Name of the group that an action is about."""
    if not isinstance(value, dict):
        raise BadRequest("Missing parameter dict")
    name = value.get("name")
    if name is None:
        raise BadRequest("Security group not specified")
    if not isinstance(name, str) or not name.strip():
        raise BadRequest("Security group name cannot be empty")
    return name.strip()
