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
from api.faults import BadRequest, NotSupported
from api.floating_ips.actions import add_address, remove_address
from api.floating_ips.bodies import ADD_FLOATING_IP, REMOVE_FLOATING_IP
from api.security_groups.actions import add_group, remove_group
from api.security_groups.bodies import ADD_GROUP, REMOVE_GROUP
from api.servers import service
from api.wire.body import read_one_of
from api.wire.shapes import Body
from db.queries.servers import ServerDetail

Handler = Callable[[Authorized, ServerDetail, Any, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Action:
    """What can be asked of a server: the operation's id in the reference, its body, who does it."""

    operation_id: str
    body: Body
    handler: Handler


_ACTIONS: tuple[Action, ...] = (
    Action("servers.action.addFloatingIp", ADD_FLOATING_IP, add_address),
    Action("servers.action.removeFloatingIp", REMOVE_FLOATING_IP, remove_address),
    Action("servers.action.addSecurityGroup", ADD_GROUP, add_group),
    Action("servers.action.removeSecurityGroup", REMOVE_GROUP, remove_group),
)
ACTIONS = {action.body.root: action for action in _ACTIONS}
UNSUPPORTED = ("changePassword", "resize", "confirmResize", "revertResize")  # R7, D49


async def act(caller: Authorized, server_id: str, request: Request) -> Response:
    """Do what the body asks of the server.

    Raises NotFound for a server that is not there, whatever the body; BadRequest unless the body
    has exactly one known action; NotSupported for those that this service does not do (D49).
    """
    server = await service.show(caller.scope, server_id)
    root, value = await read_one_of(request, {key: a.body for key, a in ACTIONS.items()})
    if not root:
        raise BadRequest("Invalid request body")
    if root in UNSUPPORTED:
        raise NotSupported(f"{root} is not supported by this service.")
    if root not in ACTIONS:
        raise BadRequest(f"There is no such server action: {root}")
    return await ACTIONS[root].handler(caller, server, value, request)
