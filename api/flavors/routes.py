"""GET flavors (R212-R214)."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Authorized, Caller
from api.database import read
from api.faults import NotFound
from api.flavors.views import SAMPLE, FlavorView
from api.wire.document import LINKS, PAGE, Query, operation
from api.wire.fields import as_id, path_id
from api.wire.pages import page_of
from api.wire.render import render
from api.wire.view import Many, One
from db.queries import flavors

router = APIRouter(prefix="/v1.1/{tenant_id}/flavors", tags=["flavors"])

_QUERY = (
    *PAGE,
    Query("minDisk", "Least disk in GB (R212)", "integer"),
    Query("minRam", "Least memory in MB (R212)", "integer"),
)
_ONE = One("flavor", FlavorView(SAMPLE, LINKS))


def _many(*, brief: bool) -> Many:
    return Many("flavors", "flavor", [FlavorView(SAMPLE, LINKS, brief)])


def _least(request: Request, name: str) -> int:
    """A size that flavors must have; what is not a number is ignored, as nova did."""
    return as_id(request.query_params.get(name, "")) or 0


async def _list(request: Request, caller: Authorized, *, brief: bool) -> Response:
    page = page_of(request)
    found = await read(
        flavors.list_all,
        least_disk_gb=_least(request, "minDisk"),
        least_ram_mb=_least(request, "minRam"),
    )
    shown = page.of(found, lambda flavor: flavor.id)
    return render(
        request,
        Many("flavors", "flavor", [FlavorView(flavor, caller.links, brief) for flavor in shown]),
    )


@router.get("", **operation("flavors.list", answers=_many(brief=True), query=_QUERY))
async def list_flavors(request: Request, caller: Caller) -> Response:
    """Flavors in brief, by id (D50)."""
    return await _list(request, caller, brief=True)


@router.get("/detail", **operation("flavors.detail", answers=_many(brief=False), query=_QUERY))
async def list_flavors_detail(request: Request, caller: Caller) -> Response:
    """Flavors with their sizes (R213)."""
    return await _list(request, caller, brief=False)


@router.get("/{flavor_id}", **operation("flavors.show", answers=_ONE, refuses=[NotFound()]))
async def show_flavor(request: Request, caller: Caller, flavor_id: str) -> Response:
    """One flavor (R214)."""
    found = await read(flavors.find, path_id(flavor_id))
    if found is None:
        raise NotFound
    return render(request, One("flavor", FlavorView(found, caller.links)))
