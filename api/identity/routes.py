"""The identity service, v2.0 (wire-notes 4, D73)."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.database import read
from api.identity import service
from api.identity.bodies import AUTH
from api.identity.views import AccessView, TenantView, VersionView
from api.wire.body import read_body
from api.wire.faults import identity as identity_writer
from api.wire.pages import page_of
from api.wire.render import render
from api.wire.view import Many, One
from db.queries import identity
from db.settings import settings

router = APIRouter(prefix="/v2.0", tags=["identity"])


def _public_url() -> str:
    return settings().public_url.rstrip("/")


@router.get("")
async def show_identity_version(request: Request) -> Response:
    """The version document, without a token (D73)."""
    return render(request, One("version", VersionView(_public_url())))


@router.post("/tokens")
async def create_token(request: Request) -> Response:
    """Authenticate, or give a token another scope."""
    access = await service.authenticate(await read_body(request, AUTH))
    return render(request, One("access", AccessView(access, _public_url())))


@router.get("/tenants")
async def list_tenants(request: Request) -> Response:
    """The tenants of the token's user, by id (R12)."""
    page = page_of(request)
    user, _ = await service.user_of(request.headers.get("x-auth-token", ""))
    found = await read(identity.tenants_of, user.id)
    shown = page.of(found, lambda tenant: tenant.id)
    return render(
        request,
        Many("tenants", "tenant", [TenantView(tenant) for tenant in shown], identity_writer),
    )
