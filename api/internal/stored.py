"""Bytes that leave the image store for hosts: whole, or one range of them.

A file of this machine is sent by the kernel. One that lies elsewhere is asked for piece by piece,
and a host whose transfer breaks, because the store went away, asks again for the rest.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import ParamSpec, TypeVar

import anyio.to_thread
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.faults import NotFound, ServiceUnavailable
from db import image_store, log
from db.image_store import Store, StoreAway

P = ParamSpec("P")
T = TypeVar("T")
_PIECE = 8 << 20  # bytes asked of the store at once
_TYPE = "application/octet-stream"
_RANGE = re.compile(r"bytes=(?!-$)(\d{0,19})-(\d{0,19})")
_AT_ONCE = 8  # threads of one process that may wait for a store that is slow

_logger = log.logger(__name__)
_threads: list[anyio.CapacityLimiter] = []


def opened() -> Store:
    """The image store. Raises ServiceUnavailable when its settings open none."""
    try:
        return image_store.store()
    except StoreAway as error:
        raise _away(error) from None


async def asked(question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Answer of the store, waited for in a thread. Raises ServiceUnavailable when it is away."""
    if not _threads:
        _threads.append(anyio.CapacityLimiter(_AT_ONCE))
    try:
        return await anyio.to_thread.run_sync(
            lambda: question(*args, **kwargs), limiter=_threads[0]
        )
    except StoreAway as error:
        raise _away(error) from None


def _away(error: StoreAway) -> ServiceUnavailable:
    _logger.error("image store is away", error=str(error))
    return ServiceUnavailable()


class _Pieces(StreamingResponse):
    """Pieces as they come; the connection breaks when the store does, and the host resumes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(ServiceUnavailable, FileNotFoundError):  # too late for a fault
            await super().__call__(scope, receive, send)


async def answer(checksum: str, method: str, wanted: str | None) -> Response:
    """The file of a checksum, or what a Range header wants of it.

    Raises NotFound when the store has none, ServiceUnavailable when it is away.
    """
    store = opened()
    size = await asked(store.size, checksum)
    if size is None:
        raise NotFound
    path = store.path(checksum)
    if path is not None:
        return FileResponse(path, media_type=_TYPE)
    headers = {"Accept-Ranges": "bytes"}
    wanted = wanted if _RANGE.fullmatch(wanted or "") else None
    span = _span(wanted, size)
    if span is None:
        return Response(None, 416, {**headers, "Content-Range": f"bytes */{size}"})
    first, end = span
    status, headers["Content-Length"] = 200, str(end - first)
    if wanted:
        status, headers["Content-Range"] = 206, f"bytes {first}-{end - 1}/{size}"
    if method == "HEAD":
        return Response(None, status, headers, _TYPE)
    return _Pieces(_pieces(store, checksum, first, end), status, headers, _TYPE)


async def _pieces(store: Store, checksum: str, first: int, end: int) -> AsyncIterator[bytes]:
    while first < end:
        piece = await asked(store.read, checksum, first, min(_PIECE, end - first))
        if not piece:
            raise ServiceUnavailable
        yield piece
        first += len(piece)


def _span(wanted: str | None, size: int) -> tuple[int, int] | None:
    """First byte and end of what is wanted; None when the file has nothing of it."""
    found = _RANGE.fullmatch(wanted or "bytes=0-")
    if found is None:
        return 0, size
    if not found[1]:
        first, end = max(size - int(found[2]), 0), size
    else:
        first, end = int(found[1]), min(int(found[2] or size) + 1, size)
    return (first, end) if first < end else None
