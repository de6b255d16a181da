"""GET /, /v1.1 and /v2, without a token (D75)."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.database import read
from api.faults import NotFound
from api.versions.views import CURRENT, DEPRECATED, SUPPORTED, VersionList, VersionView
from api.wire.call import host_of, origin_of
from api.wire.document import LINKS, operation
from api.wire.render import render
from api.wire.view import One
from db.queries import identity
from db.settings import settings

router = APIRouter(tags=["versions"])

_ALL = VersionList([VersionView(v, LINKS.base) for v in (CURRENT, DEPRECATED, SUPPORTED)])
_ONE = One("version", VersionView(CURRENT, LINKS.base))
_ALIAS = One("version", VersionView(SUPPORTED, LINKS.base))


async def base_of(request: Request) -> str:
    """Base URL of the zone that a request asks for."""
    zone = await read(identity.zone_of, host=host_of(request), default_zone=settings().zone)
    configured = zone.compute_url if zone else None
    return (configured or origin_of(request)).rstrip("/")


@router.get("/", **operation("versions.list", answers=_ALL))
async def list_versions(request: Request) -> Response:
    """All versions; v2.0 only while its alias is served (R1, D21, D76)."""
    base = await base_of(request)
    served = [CURRENT, DEPRECATED, *([SUPPORTED] if settings().v2_alias else [])]
    return render(request, VersionList([VersionView(version, base) for version in served]))


@router.get("/v1.1", **operation("versions.show", answers=_ONE))
async def show_version(request: Request) -> Response:
    """The version document (R5, R6)."""
    return render(request, One("version", VersionView(CURRENT, await base_of(request))))


@router.get("/v2", **operation("versions.show_alias", answers=_ALIAS, refuses=[NotFound()]))
async def show_alias(request: Request) -> Response:
    """The same of the alias (D76)."""
    if not settings().v2_alias:
        raise NotFound
    return render(request, One("version", VersionView(SUPPORTED, await base_of(request))))
