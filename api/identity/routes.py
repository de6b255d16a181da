"""The identity service, v2.0: tokens and tenants (wire-notes 4, D73)."""

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.database import read
from api.faults import Forbidden, NotFound
from api.identity import service
from api.identity.bodies import AUTH
from api.identity.callers import TokenHolder
from api.identity.views import (
    SAMPLE,
    SAMPLE_TENANT,
    AccessView,
    TenantView,
    VersionView,
    public_url,
)
from api.wire.body import read_body
from api.wire.document import PAGE, Query, operation
from api.wire.faults import identity as writer
from api.wire.pages import page_of
from api.wire.render import render
from api.wire.view import Many, One
from db.queries import identity
from db.queries.identity import TenantRow

router = APIRouter(prefix="/v2.0", tags=["identity"])

TENANTS = 100  # on a page, when no limit is asked
_BASE = "https://identity.example"


def _tenants(found: Sequence[TenantRow]) -> Many:
    return Many("tenants", "tenant", [TenantView(tenant) for tenant in found], writer)


def _access(access: service.Access, *, catalog: bool) -> One:
    return One("access", AccessView(access, public_url(), catalog))


@router.get("", **operation("identity.version", answers=One("version", VersionView(_BASE))))
async def show_identity_version(request: Request) -> Response:
    """The version document, without a token (D73)."""
    return render(request, One("version", VersionView(public_url())))


@router.post(
    "/tokens",
    **operation(
        "identity.authenticate",
        answers=One("access", AccessView(SAMPLE, _BASE)),
        body=AUTH,
        refuses=[Forbidden("User is disabled")],
    ),
)
async def create_token(request: Request) -> Response:
    """Authenticate, or give a token another scope, which keeps its id and expiry."""
    return render(
        request, _access(await service.authenticate(await read_body(request, AUTH)), catalog=True)
    )


@router.get(
    "/tokens/{token}",
    **operation(
        "identity.validate",
        answers=One("access", AccessView(SAMPLE, _BASE, catalog=False)),
        query=[Query("belongsTo", "Id of a tenant that it must be good for")],
        refuses=[NotFound()],
    ),
)
async def validate_token(request: Request, holder: TokenHolder, token: str) -> Response:
    """What a token is good for: one's own, or anybody's for administrators."""
    belongs_to = request.query_params.get("belongsTo") or None
    return render(
        request, _access(await service.validate(holder, token, belongs_to), catalog=False)
    )


@router.delete("/tokens/{token}", **operation("identity.revoke", status=204, refuses=[NotFound()]))
async def revoke_token(request: Request, holder: TokenHolder, token: str) -> Response:
    """End a token: one's own, or anybody's for administrators."""
    await service.revoke(holder, token)
    return render(request, status=204)


@router.delete(
    "/HP-IDM/v1.0/tokens/{token}", **operation("identity.revoke.hp", refuses=[NotFound()])
)
async def revoke_token_as_hp(request: Request, holder: TokenHolder, token: str) -> Response:
    """The same, with HP's path and status."""
    await service.revoke(holder, token)
    return render(request)


@router.get(
    "/tenants",
    **operation(
        "identity.tenants",
        answers=_tenants([SAMPLE_TENANT]),
        query=[*PAGE, Query("name", "Name of the tenant to list")],
    ),
)
async def list_tenants(request: Request, holder: TokenHolder) -> Response:
    """The tenants of the token's user, by id, also those that are disabled (R12)."""
    page = page_of(request, TENANTS)
    name = request.query_params.get("name") or None
    found = await read(identity.tenants_of, holder.user.id)
    named = [tenant for tenant in found if name in (None, tenant.name)]
    return render(request, _tenants(page.of(named, lambda tenant: tenant.id)))
