"""GET extensions (R75, R78)."""

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from api.auth import authorize
from api.extensions.views import SERVED
from api.faults import NotFound
from api.wire.call import names_of
from api.wire.document import operation
from api.wire.render import render
from api.wire.view import Many, One

router = APIRouter(
    prefix="/v1.1/{tenant_id}/extensions",
    tags=["extensions"],
    dependencies=[Depends(authorize)],
)

_ALL = Many("extensions", "extension", SERVED)
_ONE = One("extension", SERVED[0])


@router.get("", **operation("extensions.list", answers=_ALL))
async def list_extensions(request: Request) -> Response:
    """The extensions in use."""
    return render(request, _ALL)


@router.get("/{alias}", **operation("extensions.show", answers=_ONE, refuses=[NotFound()]))
async def show_extension(request: Request, alias: str) -> Response:
    """One of them."""
    for extension in SERVED:
        if extension.alias in names_of(request, alias):
            return render(request, One("extension", extension))
    raise NotFound
