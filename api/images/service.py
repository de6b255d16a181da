"""Finding, listing and deleting images."""

from collections.abc import Callable
from typing import TypeVar

from api.database import read, write
from api.faults import Forbidden, NotFound
from api.wire.fields import as_id
from api.wire.pages import Page
from db.queries import image_changes, images
from db.queries.images import ImageBrief, ImageDetail, Wanted
from db.scope import Scope

UNKNOWN = "Image not found."
NOT_YOURS = "You are not permitted to modify this image."

T = TypeVar("T")


async def list_brief(scope: Scope, wanted: Wanted, page: Page) -> list[ImageBrief]:
    """A page of public images and the tenant's own, newest first (R159, R43).

    Raises BadRequest for a lost marker.
    """
    return await _list(images.list_brief, scope, wanted, page)


async def list_detail(scope: Scope, wanted: Wanted, page: Page) -> list[ImageDetail]:
    """The same, whole."""
    return await _list(images.list_detail, scope, wanted, page)


async def _list(
    question: Callable[..., list[T] | None], scope: Scope, wanted: Wanted, page: Page
) -> list[T]:
    marker = None if page.marker is None else as_id(page.marker)
    if page.marker is not None and marker is None:
        raise page.lost  # images have no UUID (D11)
    found = await read(question, scope, wanted, marker=marker, limit=page.limit)
    if found is None:
        raise page.lost
    return found


async def show(scope: Scope, image_id: str) -> ImageDetail:
    """A visible image by its id. Raises NotFound for any other text too (D66)."""
    which = as_id(image_id)
    found = None if which is None else await read(images.find, scope, which)
    if found is None:
        raise NotFound(UNKNOWN)
    return found


async def delete(scope: Scope, image_id: str) -> None:
    """Retire an image of the tenant, also one that is being made (R170).

    Servers that came from it live on. Raises NotFound, and Forbidden for a public one (D45).
    """
    which = as_id(image_id)
    try:
        deleted = which is not None and await write(image_changes.delete, scope, which)
    except image_changes.PublicImage:
        raise Forbidden(NOT_YOURS) from None
    if not deleted:
        raise NotFound(UNKNOWN)
