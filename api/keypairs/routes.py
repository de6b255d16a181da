"""os-keypairs (R230-R236)."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.database import read, write
from api.faults import BadRequest, NotFound
from api.keypairs import service
from api.keypairs.bodies import KEYPAIR
from api.keypairs.views import MADE_SAMPLE, SAMPLE, KeypairItem, KeypairView, MadeView
from api.wire.body import read_body
from api.wire.call import found_as, names_of
from api.wire.document import PAGE, operation
from api.wire.pages import page_of
from api.wire.render import render
from api.wire.view import Many, One
from db.queries import keypairs

router = APIRouter(prefix="/v1.1/{tenant_id}/os-keypairs", tags=["keypairs"])

_MANY = Many("keypairs", "keypair", [KeypairItem(SAMPLE)])
_ONE = One("keypair", KeypairView(SAMPLE))
_MADE = One("keypair", MadeView(MADE_SAMPLE))
_BAD = (
    BadRequest("Keypair name contains unsafe characters"),
    BadRequest("Keypair name must be between 1 and 255 characters long"),
    BadRequest("Key pair keypair-1 already exists."),
    BadRequest("Keypair data is invalid"),
)


@router.get("", **operation("keypairs.list", answers=_MANY, query=PAGE))
async def list_keypairs(request: Request, caller: Caller) -> Response:
    """The user's keypairs, by name (R232, D65)."""
    page = page_of(request)
    found = await read(keypairs.list_all, caller.scope)
    shown = page.of(found, lambda keypair: keypair.name)
    return render(request, Many("keypairs", "keypair", [KeypairItem(keypair) for keypair in shown]))


@router.post("", **operation("keypairs.create", body=KEYPAIR, answers=_MADE, refuses=_BAD))
async def create_keypair(request: Request, caller: Caller) -> Response:
    """Import or make a keypair (R230)."""
    made = await service.create(caller.scope, await read_body(request, KEYPAIR))
    return render(request, One("keypair", MadeView(made)))


@router.get("/{keypair_name}", **operation("keypairs.show", answers=_ONE, refuses=[NotFound()]))
async def show_keypair(request: Request, caller: Caller, keypair_name: str) -> Response:
    """One keypair (R233)."""
    found = await read(keypairs.find, caller.scope, names_of(request, keypair_name))
    if found is None:
        raise NotFound
    found_as(request, keypair_name, found.name)
    return render(request, One("keypair", KeypairView(found)))


@router.delete("/{keypair_name}", **operation("keypairs.delete", status=202, refuses=[NotFound()]))
async def delete_keypair(request: Request, caller: Caller, keypair_name: str) -> Response:
    """Forget a keypair; servers that were given it keep it (R234, D9)."""
    if not await write(keypairs.remove, caller.scope, names_of(request, keypair_name)):
        raise NotFound
    return render(request, status=202)
