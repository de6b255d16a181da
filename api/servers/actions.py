"""POST servers/{server_id}/action: one path, many operations, told apart by the body's root (R154).

An action is one line of :data:`ACTIONS`. Its handler gets who asks, the live server, the value
below the root as JSON has it (anything at all; from XML by the body's shape), and the request.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.auth import Authorized
from api.faults import BadRequest, Fault, NotFound, NotSupported
from api.floating_ips.actions import add_address, remove_address
from api.floating_ips.bodies import ADD_FLOATING_IP, REMOVE_FLOATING_IP
from api.security_groups.actions import add_group, remove_group
from api.security_groups.bodies import ADD_GROUP, REMOVE_GROUP
from api.servers import lifecycle, service
from api.servers.bodies import CONSOLE_OUTPUT, CREATE_IMAGE, REBOOT, REBUILD
from api.servers.console_output import get_console_output
from api.wire.body import read_one_of
from api.wire.shapes import Body
from db.queries.servers import ServerDetail

Handler = Callable[[Authorized, ServerDetail, Any, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Action:
    """What can be asked of a server: the operation's id in the reference, its body, who does it.

    ``unknown`` is the fault's text for a server that is not there, if it has one of its own.
    """

    operation_id: str
    body: Body
    handler: Handler
    unknown: str | None = None


_ACTIONS = (
    Action("servers.action.reboot", REBOOT, lifecycle.reboot),
    Action("servers.action.rebuild", REBUILD, lifecycle.rebuild),
    Action("servers.action.createImage", CREATE_IMAGE, lifecycle.create_image),
    Action(
        "servers.action.getConsoleOutput", CONSOLE_OUTPUT, get_console_output,
        unknown="Instance not found",
    ),
    Action("servers.action.addFloatingIp", ADD_FLOATING_IP, add_address),
    Action("servers.action.removeFloatingIp", REMOVE_FLOATING_IP, remove_address),
    Action("servers.action.addSecurityGroup", ADD_GROUP, add_group),
    Action("servers.action.removeSecurityGroup", REMOVE_GROUP, remove_group),
)  # fmt: skip
ACTIONS = {action.body.root: action for action in _ACTIONS}
BODIES = {root: action.body for root, action in ACTIONS.items()}
UNSUPPORTED = ("changePassword", "resize", "confirmResize", "revertResize")  # R7, D49


async def act(caller: Authorized, server_id: str, request: Request) -> Response:
    """Do what the body asks of the server.

    Raises NotFound for a server that is not there, whatever the body; BadRequest unless the body
    has exactly one known action; NotSupported for those that this service does not do (D49).
    """
    server = await service.find(caller.scope, server_id)
    try:
        action, value = await _read(request)
    except Fault:
        if server is None:
            raise NotFound from None
        raise
    if server is None:
        raise NotFound(action.unknown)
    return await action.handler(caller, server, value, request)


async def _read(request: Request) -> tuple[Action, Any]:
    root, value = await read_one_of(request, BODIES)
    if not root:
        raise BadRequest("Invalid request body")
    if root in UNSUPPORTED:
        raise NotSupported(f"{root} is not supported by this service.")
    if root not in ACTIONS:
        raise BadRequest(f"There is no such server action: {root}")
    return ACTIONS[root], value
