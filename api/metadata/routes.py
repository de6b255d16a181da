"""Metadata of servers and images (R173-R182): the same routes below either."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.faults import BadRequest, Fault, Forbidden, InProgress, NotFound, OverLimit
from api.images.service import NOT_YOURS
from api.metadata import service
from api.metadata.service import IMAGES, SERVERS, Noun
from api.wire.body import read_one_of
from api.wire.call import found_as, names_of
from api.wire.document import operation
from api.wire.metadata import META, METADATA, MetadataView, MetaView
from api.wire.render import render
from api.wire.shapes import Body
from api.wire.view import One

_ALL = One("metadata", MetadataView(METADATA.shape.example))
_ONE = One("meta", MetaView("key-1", "value-1"))
_GONE = NotFound(service.UNKNOWN_ITEM)
_MISMATCH = (BadRequest(service.MISMATCH), BadRequest(service.TOO_MANY))
_OVER = OverLimit("Quota exceeded for 36991859863737, tried to set 51 metadata properties")


async def _read(request: Request, noun: Noun, body: Body) -> dict[str, Any]:
    root, value = await read_one_of(request, {body.root: body})
    if root != body.root or not isinstance(value, dict):
        raise BadRequest(noun.malformed)
    return value


def _router(noun: Noun, name: str, locked: Fault) -> APIRouter:
    """Routes below a noun; ``name``: its path variable, ``locked``: why not to change it now."""
    path = f"/v1.1/{{tenant_id}}/{noun.collection}/{{{name}}}/metadata"
    router = APIRouter(prefix=path, tags=[f"{noun.collection} metadata"])
    of = f"{noun.collection}.metadata"
    unknown = NotFound(noun.unknown)
    writes: dict[str, Any] = {
        "body": METADATA,
        "answers": _ALL,
        "refuses": [unknown, locked, _OVER],
    }

    @router.get("", **operation(f"{of}.list", answers=_ALL, refuses=[unknown]))
    async def list_metadata(
        request: Request, caller: Caller, which: Annotated[str, Path(alias=name)]
    ) -> Response:
        """All items (R173)."""
        shown = await service.show(caller.scope, noun, which)
        return render(request, One("metadata", MetadataView(shown)))

    @router.post("", **operation(f"{of}.update", **writes))
    async def update_metadata(
        request: Request, caller: Caller, which: Annotated[str, Path(alias=name)]
    ) -> Response:
        """Add and replace items, keep the others (R174, D19); all items (D54)."""
        body = await _read(request, noun, METADATA)
        shown = await service.merge(caller.scope, noun, which, body)
        return render(request, One("metadata", MetadataView(shown)))

    @router.put("", **operation(f"{of}.replace", **writes))
    async def replace_metadata(
        request: Request, caller: Caller, which: Annotated[str, Path(alias=name)]
    ) -> Response:
        """Replace all items (R175)."""
        body = await _read(request, noun, METADATA)
        shown = await service.replace(caller.scope, noun, which, body)
        return render(request, One("metadata", MetadataView(shown)))

    @router.get("/{key}", **operation(f"{of}.item.show", answers=_ONE, refuses=[_GONE]))
    async def show_item(
        request: Request, caller: Caller, which: Annotated[str, Path(alias=name)], key: str
    ) -> Response:
        """One item (R177)."""
        item = await service.show_item(caller.scope, noun, which, names_of(request, key))
        found_as(request, key, item[0])
        return render(request, One("meta", MetaView(*item)))

    @router.put(
        "/{key}",
        **operation(
            f"{of}.item.set", body=META, answers=_ONE, refuses=[*_MISMATCH, unknown, locked, _OVER]
        ),
    )
    async def set_item(
        request: Request, caller: Caller, which: Annotated[str, Path(alias=name)], key: str
    ) -> Response:
        """Make or change one item (R178, R179)."""
        body = await _read(request, noun, META)
        item = await service.set_item(caller.scope, noun, which, names_of(request, key), body)
        found_as(request, key, item[0])
        return render(request, One("meta", MetaView(*item)))

    @router.delete("/{key}", **operation(f"{of}.item.delete", status=204, refuses=[_GONE, locked]))
    async def delete_item(
        request: Request, caller: Caller, which: Annotated[str, Path(alias=name)], key: str
    ) -> Response:
        """Delete one item (R180, D9)."""
        await service.delete_item(caller.scope, noun, which, names_of(request, key))
        return render(request, status=204)

    return router


of_servers = _router(SERVERS, "server_id", InProgress(service.DELETING))
of_images = _router(IMAGES, "image_id", Forbidden(NOT_YOURS))
