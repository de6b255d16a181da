"""HP-IDM accesskeys (wire-notes 4.1, 4.2)."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from api.faults import Forbidden, InProgress, NotFound, NotSupported, OverLimit
from api.identity.access_keys import service
from api.identity.access_keys.bodies import ACCESS_KEY, ACCESS_KEYS, STATUS
from api.identity.access_keys.service import Shown
from api.identity.access_keys.views import SAMPLE, AccessKeyList, AccessKeyView
from api.identity.callers import TokenHolder
from api.wire.body import read_body
from api.wire.document import Query, operation
from api.wire.render import render
from api.wire.view import One
from db.queries.tokens import Holder

router = APIRouter(prefix="/v2.0/HP-IDM/v1.0/accesskeys", tags=["identity"])

_EXPORT = Query("export", "true: with the secret")
_ONE = One("accessKey", AccessKeyView(Shown(SAMPLE)))
_MADE = One("accessKey", AccessKeyView(Shown(SAMPLE, "...")))
_MANY = AccessKeyList([Shown(SAMPLE)])
_GIVING = (Forbidden(), NotSupported(), OverLimit("Access key quota exceeded."))


async def _owner(request: Request, holder: TokenHolder) -> Holder:
    """The holder, who may name himself in ``userId``, and nobody else."""
    service.check_own(holder, request.query_params.get("userId"))
    return holder


Owner = Annotated[Holder, Depends(_owner)]


def _export(request: Request) -> bool:
    return request.query_params.get("export", "").lower() == "true"


def _one(shown: Shown) -> One:
    return One("accessKey", AccessKeyView(shown))


@router.get(
    "",
    **operation(
        "accesskeys.list", answers=_MANY, query=[_EXPORT, Query("status", "Those of this status")]
    ),
)
async def list_access_keys(request: Request, owner: Owner) -> Response:
    """The user's keys, oldest first."""
    status = request.query_params.get("status") or None
    keys = await service.list_of(owner, status=status, export=_export(request))
    return render(request, AccessKeyList(keys))


@router.post(
    "",
    **operation("accesskeys.create", answers=_MADE, status=201, body=ACCESS_KEY, refuses=_GIVING),
)
async def create_access_key(request: Request, owner: Owner) -> Response:
    """A new key with its secret."""
    made = await service.create(owner, await read_body(request, ACCESS_KEY))
    return render(request, _one(made), 201)


@router.put(
    "",
    **operation(
        "accesskeys.import", answers=_MANY, body=ACCESS_KEYS, refuses=[*_GIVING, InProgress()]
    ),
)
async def import_access_keys(request: Request, owner: Owner) -> Response:
    """Keys that were made elsewhere, all or none."""
    made = await service.import_all(owner, await read_body(request, ACCESS_KEYS))
    return render(request, AccessKeyList(made))


@router.get(
    "/{key_id}",
    **operation("accesskeys.show", answers=_ONE, query=[_EXPORT], refuses=[NotFound()]),
)
async def show_access_key(request: Request, owner: Owner, key_id: str) -> Response:
    """One key."""
    return render(request, _one(await service.show(owner, key_id, export=_export(request))))


@router.put(
    "/{key_id}",
    **operation("accesskeys.update", answers=_ONE, body=STATUS, refuses=[NotFound()]),
)
async def update_access_key(request: Request, owner: Owner, key_id: str) -> Response:
    """Enable a key, or disable it and end its tokens; nothing else of it changes."""
    body = await read_body(request, STATUS)
    return render(request, _one(await service.set_status(owner, key_id, body)))


@router.delete("/{key_id}", **operation("accesskeys.delete", status=204, refuses=[NotFound()]))
async def delete_access_key(request: Request, owner: Owner, key_id: str) -> Response:
    """Forget a key and end its tokens."""
    await service.delete(owner, key_id)
    return render(request, status=204)
