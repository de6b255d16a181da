"""What POST tokens means: credentials to a token, scoped or not (wire-notes 4.2)."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from api.auth import hash_token, refused
from api.database import read, write
from api.faults import BadRequest, Forbidden
from api.identity import passwords
from api.wire.body import MALFORMED
from db.queries import identity
from db.queries.identity import RoleRow, TenantRow, UserRow, ZoneRow
from db.settings import settings

MOST_NAME = 255  # characters of a user's or tenant's name
WRONG = "Invalid credentials"


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
    if "passwordCredentials" in auth:
        user = await _by_password(_map(auth["passwordCredentials"]))
        token, expires = None, None
    elif "token" in auth:
        token = _text(_map(auth["token"]).get("id"))
        user, expires = await user_of(token)
    elif "apiAccessKeyCredentials" in auth:
        raise refused(WRONG)  # access keys are not there yet
    else:
        raise BadRequest(MALFORMED)
    if not user.enabled:
        raise Forbidden("User is disabled")
    tenant = await _tenant(user, _optional(auth, "tenantId"), _optional(auth, "tenantName"))
    return await write(_grant, user, tenant, token, expires)


async def user_of(token: str) -> tuple[UserRow, datetime]:
    """User and expiry of a token, whatever it is scoped to. Raises Unauthorized."""
    token_hash = hash_token(token)
    found = await read(identity.user_of_token, token_hash) if token_hash else None
    if found is None:
        raise refused(WRONG)
    return found


def _map(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest(MALFORMED)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise BadRequest(MALFORMED)
    return value


def _optional(auth: dict[str, Any], member: str) -> str | None:
    """A tenant's name or id; null and "" are none, a number is its digits."""
    value = auth.get(member)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return _text(value)


async def _by_password(credentials: dict[str, Any]) -> UserRow:
    name, password = _text(credentials.get("username")), _text(credentials.get("password"))
    user = await read(identity.user_named, name) if len(name) <= MOST_NAME else None
    right = await passwords.matches(password, user.password_hash if user else None)
    if user is None or not right:
        raise refused(WRONG)
    return user


async def _tenant(user: UserRow, tenant_id: str | None, name: str | None) -> TenantRow | None:
    if tenant_id is None and name is None:
        return None
    for tenant in await read(identity.tenants_of, user.id):
        if tenant_id in (None, tenant.id) and name in (None, tenant.name):
            if not tenant.enabled:
                raise Forbidden("Tenant is disabled")
            return tenant
    raise refused(WRONG)


def _grant(
    conn: Connection,
    user: UserRow,
    tenant: TenantRow | None,
    token: str | None,
    expires: datetime | None,
) -> Access:
    """A new token, or another scope for ``token``, which keeps its id and expiry."""
    if token is None or expires is None:
        token = f"HPAuth_{secrets.token_hex(32)}"
        token_hash = hash_token(token)
        assert token_hash is not None
        expires = identity.add_token(
            conn, token_hash=token_hash, user_id=user.id, hours=settings().token_hours
        )
    else:
        token_hash = hash_token(token)
        assert token_hash is not None
    roles: list[RoleRow] = []
    zones: list[ZoneRow] = []
    if tenant is not None:
        identity.add_scope(conn, token_hash=token_hash, tenant_id=tenant.id)
        roles = identity.roles_of(conn, user.id, tenant.id)
        zones = identity.zones(conn)
    return Access(token, expires, user, tenant, roles, zones)
