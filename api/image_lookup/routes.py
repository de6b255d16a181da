"""GET v2/images?name= of the image service (decisions/005).

The nova command of the last versions that know floating addresses and security groups looks an
image up here before it boots, rebuilds, shows or deletes; all else about images it asks of compute.
"""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.database import read
from api.images.views import ImageView
from api.wire.fields import as_id
from api.wire.render import render
from api.wire.view import Many
from db.queries import images
from db.scope import Scope

router = APIRouter(prefix="/image/{tenant_id}/v2/images", tags=["images"])


@dataclass(frozen=True, slots=True)
class FoundView(ImageView):
    """An image as compute shows it, its status as the image service writes it."""

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        return {**ImageView.json(self), "status": self.image.status.lower()}


async def _named(scope: Scope, name: str) -> list[images.ImageDetail]:
    """Visible images of a name, or else the one of that id: clients send either as a name."""
    found = await read(images.list_detail, scope, images.Wanted(name=name)) or []
    image_id = as_id(name)
    if found or image_id is None:
        return found
    image = await read(images.find, scope, image_id)
    return [] if image is None else [image]


@router.get("", include_in_schema=False)
async def find_images(request: Request, caller: Caller) -> Response:
    """The images that a client means by ``name``; without it, all."""
    name = request.query_params.get("name")
    if name is None:
        found = await read(images.list_detail, caller.scope) or []
    else:
        found = await _named(caller.scope, name)
    shown = [FoundView(image, caller.links) for image in found]
    return render(request, Many("images", "image", shown))
