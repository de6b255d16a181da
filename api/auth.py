"""Who asks: token to user, tenant and zone, in one query (R8-R11, R16, D28), and how often (R66).

Every route below a tenant's path takes :data:`Caller` first, so that nothing else runs for a
request that is not authorized, or that its tenant's rates do not allow. Tenancy beyond that is the
:class:`~db.scope.Scope` which every query takes.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from api.database import read
from api.faults import ServiceUnavailable, Unauthorized
from api.limits import rates
from api.wire.call import call_of, host_of, origin_of
from api.wire.links import Links
from db import log
from db.queries import identity
from db.rates import Rate
from db.scope import Scope
from db.settings import settings

TOKEN = re.compile(r"HPAuth_[0-9a-f]{64}")  # R19
ELSEWHERE = (  # who logs in by headers must do so where that is done (wire-notes 4.3)
    "Authentication requests must be made against a version root (e.g. /v1.0 or /v1.1)."
)
_logger = log.logger(__name__)


@dataclass(frozen=True, slots=True)
class Authorized:
    """A request that may go on: its scope, its zone's name, how to link, and the rates in force."""

    scope: Scope
    zone: str
    links: Links
    rates: tuple[Rate, ...]


def hash_token(token: str) -> bytes | None:
    """What the database knows a token by; None when the text cannot be a token."""
    return hashlib.sha256(token.encode()).digest() if TOKEN.fullmatch(token) else None


def refused(details: str | None = None) -> Unauthorized:
    """The fault that says where to get a token (D28)."""
    return Unauthorized(f"{settings().public_url.rstrip('/')}/v2.0/", details=details)


async def authorize(request: Request, tenant_id: str) -> Authorized:
    """Scope of a request to a tenant's path.

    Raises Unauthorized without a token, for an unknown, expired or unscoped one, and for one that
    is good for other tenants only; RateLimited when the request comes too soon.
    """
    token = request.headers.get("x-auth-token")
    token_hash = hash_token(token or "")
    if token_hash is None:
        raise refused(ELSEWHERE if token is None and "x-auth-user" in request.headers else None)
    found = await read(
        identity.authorize,
        token_hash=token_hash,
        tenant_id=tenant_id,
        host=host_of(request),
        default_zone=settings().zone,
    )
    if found is None:
        raise refused()
    if found.zone is None:
        _logger.error("the zone of the settings is not in the database", zone=settings().zone)
        raise ServiceUnavailable
    call = call_of(request)
    call.tenant_id = tenant_id
    scope = Scope(tenant_id, found.zone.id, found.user_id, call.request_id)
    in_force = rates.in_force(found.rates)
    await rates.admit_request(scope, in_force, request)
    base = (found.zone.compute_url or origin_of(request)).rstrip("/")
    return Authorized(scope, found.zone.name, Links(base, call.prefix, tenant_id), in_force)


Caller = Annotated[Authorized, Depends(authorize)]
