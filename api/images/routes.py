"""Images (R158-R171)."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.faults import BadRequest, Forbidden, NotFound
from api.images import service
from api.images.filters import QUERY, wanted_of
from api.images.views import SAMPLE, SNAPSHOT, ImageBriefView, ImageView
from api.wire.document import LINKS, PAGE, operation
from api.wire.pages import page_of
from api.wire.paths import item
from api.wire.render import render
from api.wire.view import Many, One
from db.queries.images import ImageBrief

router = APIRouter(prefix="/v1.1/{tenant_id}/images", tags=["images"])

_ITEM = f"/{item('image_id')}"
_BRIEF = Many("images", "image", [ImageBriefView(ImageBrief(SAMPLE.id, SAMPLE.name), LINKS)])
_DETAIL = Many("images", "image", [ImageView(SAMPLE, LINKS)])
_BAD_QUERY = (BadRequest("marker [x] not found"), BadRequest("Invalid changes-since value"))
_GONE = NotFound(service.UNKNOWN)


@router.get(
    "", **operation("images.list", answers=_BRIEF, query=(*QUERY, *PAGE), refuses=_BAD_QUERY)
)
async def list_images(request: Request, caller: Caller) -> Response:
    """Public images and the tenant's own, in brief, newest first (R159, R43)."""
    found = await service.list_brief(caller.scope, wanted_of(request), page_of(request))
    return render(
        request, Many("images", "image", [ImageBriefView(image, caller.links) for image in found])
    )


@router.get(
    "/detail",
    **operation("images.detail", answers=_DETAIL, query=(*QUERY, *PAGE), refuses=_BAD_QUERY),
)
async def list_images_detail(request: Request, caller: Caller) -> Response:
    """The same, whole."""
    found = await service.list_detail(caller.scope, wanted_of(request), page_of(request))
    return render(
        request, Many("images", "image", [ImageView(image, caller.links) for image in found])
    )


@router.get(
    _ITEM,
    **operation("images.show", answers=One("image", ImageView(SNAPSHOT, LINKS)), refuses=[_GONE]),
)
async def show_image(request: Request, caller: Caller, image_id: str) -> Response:
    """One image (R169)."""
    found = await service.show(caller.scope, image_id)
    return render(request, One("image", ImageView(found, caller.links)))


@router.delete(
    _ITEM,
    **operation("images.delete", status=204, refuses=[_GONE, Forbidden(service.NOT_YOURS)]),
)
async def delete_image(request: Request, caller: Caller, image_id: str) -> Response:
    """Retire one of the tenant's images; servers that came from it live on (R170, R171)."""
    await service.delete(caller.scope, image_id)
    return render(request, status=204)
