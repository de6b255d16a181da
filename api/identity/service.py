"""What POST tokens means: credentials to a token, scoped or not (wire-notes 4.2)."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from api.auth import hash_token, refused
from api.database import read, write
from api.faults import BadRequest, Forbidden, NotFound
from api.identity import credentials
from api.identity.callers import WRONG
from api.identity.credentials import Proven
from api.wire.body import MALFORMED
from db.queries import identity, tokens
from db.queries.identity import RoleRow, TenantRow, UserRow, ZoneRow
from db.queries.tokens import Holder
from db.settings import settings


@dataclass(frozen=True, slots=True)
class Access:
    """A token in its owner's hands. ``tenant`` None: unscoped."""

    token: str
    expires: datetime
    user: UserRow
    tenant: TenantRow | None
    roles: list[RoleRow]
    zones: list[ZoneRow]


async def authenticate(auth: dict[str, Any]) -> Access:
    """Access for the credentials of a request.

    Raises BadRequest for a body without credentials, Unauthorized for wrong ones and for a tenant
    that is not the user's, Forbidden for a disabled user or tenant.
    """
    tenant_id, name = _optional(auth, "tenantId"), _optional(auth, "tenantName")
    proven = await _proven(auth)
    if tenant_id is None and name is None:
        return await grant(proven, None)
    return await grant(
        proven,
        await tenant_of(
            proven.user,
            lambda tenant: tenant_id in (None, tenant.id) and name in (None, tenant.name),
        ),
    )


async def tenant_of(user: UserRow, wanted: Callable[[TenantRow], bool]) -> TenantRow:
    """The first of a user's tenants that is wanted.

    Raises Unauthorized when none is, Forbidden when it is disabled.
    """
    for tenant in await read(identity.tenants_of, user.id):
        if wanted(tenant):
            if not tenant.enabled:
                raise Forbidden("Tenant is disabled")
            return tenant
    raise refused(WRONG)


async def grant(proven: Proven, tenant: TenantRow | None) -> Access:
    """A new token, or another scope for the one that proved, which keeps its id and expiry.

    Raises Unauthorized when key, user, tenant or token have come to an end meanwhile.
    """
    return await write(_grant, proven, tenant)


async def validate(holder: Holder, token: str, belongs_to: str | None) -> Access:
    """What a token is good for: the holder's own or, for administrators, anybody's.

    Raises NotFound for every other, and when it is not good for the tenant ``belongs_to``.
    """
    found = await read(
        tokens.validate, token_hash=_known(token), tenant_id=belongs_to, user_id=_whose(holder)
    )
    if found is None:
        raise NotFound
    roles = await read(identity.roles_of, found.user.id, found.tenant.id) if found.tenant else []
    return Access(token, found.expires, found.user, found.tenant, roles, zones=[])


async def revoke(holder: Holder, token: str) -> None:
    """End a token: the holder's own or, for administrators, anybody's. Raises NotFound."""
    if not await write(tokens.revoke, token_hash=_known(token), user_id=_whose(holder)):
        raise NotFound


def _known(token: str) -> bytes:
    """Hash of a path's token. Raises NotFound for what cannot be one."""
    token_hash = hash_token(token)
    if token_hash is None:
        raise NotFound
    return token_hash


def _whose(holder: Holder) -> str | None:
    """The user whose tokens there are for a holder; None: everybody's."""
    return None if holder.admin else holder.user.id


async def _proven(auth: dict[str, Any]) -> Proven:
    if (given := auth.get("passwordCredentials")) is not None:
        return await credentials.by_password(_text(given, "username"), _text(given, "password"))
    if (given := auth.get("apiAccessKeyCredentials")) is not None:
        return await credentials.by_access_key(_text(given, "accessKey"), _text(given, "secretKey"))
    if (given := auth.get("token")) is not None:
        return await credentials.by_token(_text(given, "id"))
    raise BadRequest(MALFORMED)


def _text(given: Any, member: str) -> str:
    value = given.get(member) if isinstance(given, dict) else None
    if not isinstance(value, str) or not value:
        raise BadRequest(MALFORMED)
    return value


def _optional(auth: dict[str, Any], member: str) -> str | None:
    """A tenant's name or id; null and "" are none, a number is its digits."""
    value = auth.get(member)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(auth, member)


def _grant(conn: Connection, proven: Proven, tenant: TenantRow | None) -> Access:
    token, expires = proven.token, proven.expires
    if token is None:
        token = f"HPAuth_{secrets.token_hex(32)}"
        expires = tokens.add(
            conn,
            token_hash=_hash(token),
            user=proven.user,
            access_key_id=proven.access_key_id,
            hours=settings().token_hours,
        )
    if expires is None:
        raise refused(WRONG)
    access = Access(token, expires, proven.user, None, roles=[], zones=[])
    if tenant is None:
        return access
    if not tokens.scope(conn, token_hash=_hash(token), tenant_id=tenant.id):
        raise refused(WRONG)
    roles = identity.roles_of(conn, proven.user.id, tenant.id)
    return replace(access, tenant=tenant, roles=roles, zones=identity.zones(conn))


def _hash(token: str) -> bytes:
    token_hash = hash_token(token)
    assert token_hash is not None
    return token_hash
