"""The internal interface: image bytes for and from hosts, on the management network only.

The middleware shows these paths to the internal socket alone. Whoever asks for bytes must know the
secret of the settings.
"""

import hmac
import re

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.auth import refused
from api.database import read
from api.faults import NotFound
from api.internal import stored, upload
from db.queries import identity
from db.settings import settings

router = APIRouter(prefix="/internal", include_in_schema=False)
_CHECKSUM = re.compile(r"[0-9a-f]{64}")


def _check_secret(request: Request) -> None:
    """Raises Unauthorized unless the request carries the secret; an empty secret fits nobody."""
    secret = settings().internal_secret.get_secret_value()
    given = request.headers.get("authorization", "")
    if not secret or not hmac.compare_digest(given.encode(), f"Bearer {secret}".encode()):
        raise refused()


@router.api_route("/images/{checksum}", methods=["GET", "HEAD"])
async def get_image(request: Request, checksum: str) -> Response:
    """Bytes of the image of a SHA-256, whole or a Range of them."""
    _check_secret(request)
    if not _CHECKSUM.fullmatch(checksum):
        raise NotFound
    return await stored.answer(checksum, request.method, request.headers.get("range"))


@router.put("/images/{checksum}")
async def put_image(request: Request, checksum: str) -> Response:
    """Keep a qcow2 that stands alone under its SHA-256, once it arrived whole and was inspected."""
    _check_secret(request)
    if not _CHECKSUM.fullmatch(checksum):
        raise NotFound
    size = upload.declared_size(request.headers.get("content-length"))
    virtual_size = await upload.keep(request.stream(), checksum, size)
    return JSONResponse({"size": size, "virtual_size": virtual_size}, 201)


@router.get("/health")
async def show_health() -> Response:
    """Whether this process serves and reaches Postgres; 503 when not."""
    await read(identity.zones)
    return JSONResponse({"status": "ok"})
