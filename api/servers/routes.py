"""servers (R91-R146, R222)."""

from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.faults import BadRequest, InProgress, NotFound, NotSupported
from api.servers import actions, create, fields, service
from api.servers.bodies import SERVER, SERVER_UPDATE
from api.servers.console_output import SAMPLE as OUTPUT
from api.servers.filters import QUERY, wanted_of
from api.servers.views import (
    SAMPLE,
    SAMPLE_BRIEF,
    AddressesView,
    NetworkView,
    ServerBriefView,
    ServerView,
    addresses,
)
from api.wire.body import read_body
from api.wire.call import names_of
from api.wire.document import LINKS, PAGE, operation
from api.wire.pages import page_of
from api.wire.paths import item
from api.wire.render import render
from api.wire.view import Many, One, View

router = APIRouter(prefix="/v1.1/{tenant_id}/servers", tags=["servers"])

_ITEM = f"/{item('server_id')}"
_LISTED = (*QUERY, *PAGE)
_UNLISTED = (BadRequest("marker [7] not found"), BadRequest("Invalid server status: X"))
_ONE = One("server", ServerView(SAMPLE, LINKS))
_MADE = One(
    "server",
    ServerView(
        replace(SAMPLE, vm_state="BUILD", task_state="scheduling", host=None, fixed=None),
        LINKS,
        "2eb56Qh2uVAuC7ub",
    ),
)
_REBUILT = One(
    "server", ServerView(replace(SAMPLE, task_state="rebuilding"), LINKS, "fvm5PpDqWvgqEbpJ")
)
_ADDRESSES = AddressesView(addresses(SAMPLE))
_NAME_IN_USE = BadRequest("Server name 'server-name-1' already in use.")
_DELETING = InProgress("Cannot 'rename' while instance is in task_state deleting")
_NO_ADDRESSES = NotFound("Instance does not exist")


def _many(view: View) -> Many:
    return Many("servers", "server", [view])


@router.get(
    "",
    **operation(
        "servers.list",
        answers=_many(ServerBriefView(SAMPLE_BRIEF, LINKS)),
        query=_LISTED,
        refuses=_UNLISTED,
    ),
)
async def list_servers(request: Request, caller: Caller) -> Response:
    """The tenant's servers in brief, newest first (R137)."""
    found = await service.list_brief(caller.scope, wanted_of(request), page_of(request))
    return render(
        request, Many("servers", "server", [ServerBriefView(s, caller.links) for s in found])
    )


@router.post(
    "",
    **operation(
        "servers.create",
        status=202,
        answers=_MADE,
        body=SERVER,
        refuses=[_NAME_IN_USE, fields.quota_fault(0)],
    ),
)
async def create_servers(request: Request, caller: Caller) -> Response:
    """Create servers; the answer shows the first (R118, D35)."""
    created = await create.create(caller, await read_body(request, SERVER))
    return render(
        request,
        One("server", ServerView(created.server, caller.links, created.admin_pass)),
        202,
        {"Location": caller.links.url("servers", created.server.id)},
    )


@router.get(
    "/detail",
    **operation(
        "servers.detail",
        answers=_many(ServerView(SAMPLE, LINKS)),
        query=_LISTED,
        refuses=_UNLISTED,
    ),
)
async def list_servers_detail(request: Request, caller: Caller) -> Response:
    """The tenant's servers, whole (R138)."""
    found = await service.list_detail(caller.scope, wanted_of(request), page_of(request))
    return render(request, Many("servers", "server", [ServerView(s, caller.links) for s in found]))


@router.get(_ITEM, **operation("servers.show", answers=_ONE, refuses=[NotFound()]))
async def show_server(request: Request, caller: Caller, server_id: str) -> Response:
    """One server (R141)."""
    found = await service.show(caller.scope, server_id)
    return render(request, One("server", ServerView(found, caller.links)))


@router.put(
    _ITEM,
    **operation(
        "servers.update",
        answers=_ONE,
        body=SERVER_UPDATE,
        refuses=[NotFound(), _NAME_IN_USE, _DELETING],
    ),
)
async def update_server(request: Request, caller: Caller, server_id: str) -> Response:
    """Rename a server (R103, D67)."""
    body = await read_body(request, SERVER_UPDATE)
    renamed = await service.rename(caller.scope, server_id, body)
    return render(request, One("server", ServerView(renamed, caller.links)))


@router.delete(_ITEM, **operation("servers.delete", status=204, refuses=[NotFound()]))
async def delete_server(request: Request, caller: Caller, server_id: str) -> Response:
    """Delete a server, in whatever state it is (R144, D60)."""
    await service.delete(caller.scope, server_id)
    return render(request, status=204)


@router.post(
    "/{server_id}/action",
    **operation(
        "servers.action",
        status=202,
        answers=_REBUILT,
        also={200: OUTPUT},
        refuses=[NotFound(), BadRequest("Invalid request body"), InProgress(), NotSupported()],
        bodies=[(action.operation_id, action.body) for action in actions.ACTIONS.values()],
    ),
)
async def act_on_server(request: Request, caller: Caller, server_id: str) -> Response:
    """Do one of the actions, which the body names (R154)."""
    return await actions.act(caller, server_id, request)


@router.get(
    "/{server_id}/ips",
    **operation("servers.ips.list", answers=One("addresses", _ADDRESSES), refuses=[_NO_ADDRESSES]),
)
async def list_addresses(request: Request, caller: Caller, server_id: str) -> Response:
    """A server's addresses by network (R222)."""
    found = await service.show(caller.scope, server_id, "Instance does not exist")
    return render(request, One("addresses", AddressesView(addresses(found))))


@router.get(
    "/{server_id}/ips/{network_id}",
    **operation(
        "servers.ips.show",
        answers=One("private", NetworkView("private", _ADDRESSES.json()["private"]), "network"),
        refuses=[_NO_ADDRESSES, NotFound("Instance is not a member of specified network")],
    ),
)
async def show_addresses(
    request: Request, caller: Caller, server_id: str, network_id: str
) -> Response:
    """A server's addresses in one network (R222)."""
    found = await service.show(caller.scope, server_id, "Instance does not exist")
    networks = addresses(found)
    for name in names_of(request, network_id):
        if name in networks:
            return render(request, One(name, NetworkView(name, networks[name]), "network"))
    raise NotFound("Instance is not a member of specified network")
