"""servers (R91-R146, R222)."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.faults import NotFound
from api.servers import actions, create, service
from api.servers.bodies import SERVER, SERVER_UPDATE
from api.servers.views import AddressesView, NetworkView, ServerBriefView, ServerView, addresses
from api.wire.body import read_body
from api.wire.call import names_of
from api.wire.document import operation
from api.wire.pages import page_of
from api.wire.render import render
from api.wire.view import Many, One

router = APIRouter(prefix="/v1.1/{tenant_id}/servers", tags=["servers"])


@router.get("")
async def list_servers(request: Request, caller: Caller) -> Response:
    """The tenant's servers in brief, newest first (R137)."""
    found = await service.list_brief(caller.scope, page_of(request))
    return render(
        request, Many("servers", "server", [ServerBriefView(s, caller.links) for s in found])
    )


@router.post("", status_code=202)
async def create_servers(request: Request, caller: Caller) -> Response:
    """Create servers; the answer shows the first (R118, D35)."""
    created = await create.create(caller, await read_body(request, SERVER))
    return render(
        request,
        One("server", ServerView(created.server, caller.links, created.admin_pass)),
        202,
        {"Location": caller.links.url("servers", created.server.id)},
    )


@router.get("/detail")
async def list_servers_detail(request: Request, caller: Caller) -> Response:
    """The tenant's servers, whole (R138)."""
    found = await service.list_detail(caller.scope, page_of(request))
    return render(request, Many("servers", "server", [ServerView(s, caller.links) for s in found]))


@router.get("/{server_id}")
async def show_server(request: Request, caller: Caller, server_id: str) -> Response:
    """One server (R141)."""
    found = await service.show(caller.scope, server_id)
    return render(request, One("server", ServerView(found, caller.links)))


@router.put("/{server_id}")
async def update_server(request: Request, caller: Caller, server_id: str) -> Response:
    """Rename a server (R103, D67)."""
    body = await read_body(request, SERVER_UPDATE)
    renamed = await service.rename(caller.scope, server_id, body)
    return render(request, One("server", ServerView(renamed, caller.links)))


@router.delete("/{server_id}", status_code=204)
async def delete_server(request: Request, caller: Caller, server_id: str) -> Response:
    """Delete a server, in whatever state it is (R144, D60)."""
    await service.delete(caller.scope, server_id)
    return render(request, status=204)


@router.post(
    "/{server_id}/action",
    **operation(
        "servers.action",
        status=202,
        bodies=[(action.operation_id, action.body) for action in actions.ACTIONS.values()],
    ),
)
async def act_on_server(request: Request, caller: Caller, server_id: str) -> Response:
    """Do one of the actions, which the body names (R154)."""
    return await actions.act(caller, server_id, request)


@router.get("/{server_id}/ips")
async def list_addresses(request: Request, caller: Caller, server_id: str) -> Response:
    """A server's addresses by network (R222)."""
    found = await service.show(caller.scope, server_id, "Instance does not exist")
    return render(request, One("addresses", AddressesView(addresses(found))))


@router.get("/{server_id}/ips/{network_id}")
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
