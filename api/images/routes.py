"""GET images (R158-R169)."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.database import read
from api.faults import NotFound
from api.images.views import ImageBriefView, ImageView
from api.wire.fields import as_id, path_id
from api.wire.pages import Page, page_of
from api.wire.render import render
from api.wire.view import Many, One
from db.queries import images

router = APIRouter(prefix="/v1.1/{tenant_id}/images", tags=["images"])


def _marker(page: Page) -> int | None:
    """Integer id of the marker (D11)."""
    if page.marker is None:
        return None
    marker = as_id(page.marker)
    if marker is None:
        raise page.lost
    return marker


@router.get("")
async def list_images(request: Request, caller: Caller) -> Response:
    """Public images and the tenant's own, in brief, newest first (R159, R43)."""
    page = page_of(request)
    found = await read(images.list_brief, caller.scope, marker=_marker(page), limit=page.limit)
    if found is None:
        raise page.lost
    return render(
        request, Many("images", "image", [ImageBriefView(image, caller.links) for image in found])
    )


@router.get("/detail")
async def list_images_detail(request: Request, caller: Caller) -> Response:
    """The same, whole."""
    page = page_of(request)
    found = await read(images.list_detail, caller.scope, marker=_marker(page), limit=page.limit)
    if found is None:
        raise page.lost
    return render(
        request, Many("images", "image", [ImageView(image, caller.links) for image in found])
    )


@router.get("/{image_id}")
async def show_image(request: Request, caller: Caller, image_id: str) -> Response:
    """One image (R169)."""
    found = await read(images.find, caller.scope, path_id(image_id))
    if found is None:
        raise NotFound("Image not found.")
    return render(request, One("image", ImageView(found, caller.links)))
