"""Login by headers, from before there were bodies for it (wire-notes 4.3).

Two forms are taken. Nova's: X-Auth-User is the user's name, X-Auth-Project-Id a tenant's id or name
or, when it is not sent, the user's first tenant that is enabled; the answer is 204. HP's:
X-Auth-User is "<tenantId>:<username>", and the answer 200 with what POST tokens answers. In both an
access key's id may stand for the name, with its secret in X-Auth-Key.

GET /v1.1 is compute's version document as well (D75), and one port serves both services. So a
request for /v1.0 or /v1.1 that carries X-Auth-User or X-Auth-Key is this login: the middleware
gives it the path /auth/v1.0 or /auth/v1.1, which are nothing else. Without these headers /v1.1 is
the document, and /v1.0 not served (R1).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.auth import refused
from api.database import read
from api.identity import credentials, service
from api.identity.service import Access
from api.identity.views import AccessView, compute_url, public_url
from api.wire.call import host_of
from api.wire.document import operation
from api.wire.render import render
from api.wire.view import One
from db.queries import identity
from db.queries.identity import TenantRow
from db.settings import settings

router = APIRouter(prefix="/auth", tags=["identity"])

_HP_USER = re.compile(r"(\d+):(.+)")


@dataclass(frozen=True, slots=True)
class Login:
    """What the headers say. ``tenant``: id or name; None: whichever there is."""

    name: str
    key: str
    tenant: str | None
    hp: bool


@router.get("/v1.0", **operation("identity.login.v1.0"))
@router.get("/v1.1", **operation("identity.login.v1.1"))
async def log_in(request: Request) -> Response:
    """A token in a header, and where the tenant's servers are."""
    login = login_of(request.headers)
    proven = await credentials.by_either(login.name, login.key)
    tenant = await service.tenant_of(proven.user, lambda tenant: _wanted(login, tenant))
    access = await service.grant(proven, tenant)
    headers = {
        "X-Auth-Token": access.token,
        "X-Server-Management-Url": await _management_url(request, tenant),
        "X-Storage-Url": "",
        "X-CDN-Management-Url": "",
    }
    if not login.hp:
        return render(request, status=204, headers=headers)
    return render(request, _body(access), headers=headers)


def login_of(headers: Mapping[str, str]) -> Login:
    """The login in a request's headers. Raises Unauthorized when one is missing."""
    user, key = (_sent(headers, name) for name in ("X-Auth-User", "X-Auth-Key"))
    hp = _HP_USER.fullmatch(user)
    if hp:
        return Login(hp[2], key, hp[1], hp=True)
    project = headers.get("X-Auth-Project-Id", "")
    return Login(user, key, _text(project) or None, hp=False)


def _sent(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if value is None:
        raise refused(f"Could not find {name} in request.")
    return _text(value)


def _text(value: str) -> str:
    """A header's value, which clients send as UTF-8 and servers read as Latin-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _wanted(login: Login, tenant: TenantRow) -> bool:
    if login.tenant is None:
        return tenant.enabled
    return login.tenant in ((tenant.id,) if login.hp else (tenant.id, tenant.name))


async def _management_url(request: Request, tenant: TenantRow) -> str:
    """The tenant's URL in the zone that was asked."""
    zone = await read(identity.zone_of, host=host_of(request), default_zone=settings().zone)
    return compute_url(zone, public_url(), tenant.id)


def _body(access: Access) -> One:
    return One("access", AccessView(access, public_url()))
