"""Users, tenants and zones: who may ask, where and how often (R8-R19, R66).

A token is good for a tenant while it is unexpired, scoped to the tenant, user and tenant are
enabled and the user is still a member.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

# The zone whose own address is the request's host, else the one the settings name.
_ZONE = """
    SELECT z.id, z.name, z.compute_url FROM zones z
    WHERE z.name = :default_zone
       OR lower(split_part(split_part(z.compute_url, '://', 2), '/', 1)) = :host
    ORDER BY lower(split_part(split_part(z.compute_url, '://', 2), '/', 1)) IS NOT DISTINCT FROM
             :host DESC
    LIMIT 1
"""
_ZONE_OF = text(_ZONE)
_AUTHORIZE = text(f"""
    SELECT t.user_id, z.id, z.name, z.compute_url,
           (SELECT jsonb_object_agg(r.name, r.value) FROM rate_limits r
            WHERE r.tenant_id = n.id AND r.zone_id = z.id) AS rates
    FROM tokens t
    JOIN token_scopes s ON s.token_hash = t.hash AND s.tenant_id = :tenant_id
    JOIN users u ON u.id = t.user_id AND u.enabled
    JOIN tenants n ON n.id = s.tenant_id AND n.enabled
    LEFT JOIN LATERAL ({_ZONE}) z ON true
    WHERE t.hash = :token_hash AND t.expires_at > clock_timestamp()
      AND EXISTS (SELECT 1 FROM user_roles r WHERE r.user_id = u.id AND r.tenant_id = n.id)
""")
_USER_BY_NAME = text("SELECT id, name, password_hash, enabled FROM users WHERE name = :name")
_TENANTS = text("""
    SELECT n.id, n.name, n.description, n.enabled, n.created_at, n.updated_at FROM tenants n
    WHERE EXISTS (SELECT 1 FROM user_roles r WHERE r.tenant_id = n.id AND r.user_id = :user_id)
    ORDER BY n.id
""")
_ROLES = text("""
    SELECT r.id, r.name FROM user_roles ur JOIN roles r ON r.id = ur.role_id
    WHERE ur.user_id = :user_id AND ur.tenant_id = :tenant_id ORDER BY r.id
""")
_ZONES = text("SELECT id, name, compute_url FROM zones ORDER BY id")


@dataclass(frozen=True, slots=True)
class ZoneRow:
    """A zone and its base URL; None: it has no address of its own."""

    id: int
    name: str
    compute_url: str | None


@dataclass(frozen=True, slots=True)
class Authorized:
    """What a good token gives: its user, and the zone that was asked (None: there is none).

    ``rates`` are the tenant's own rate limits there, requests by name; -1 is unlimited.
    """

    user_id: str
    zone: ZoneRow | None
    rates: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user; ``password_hash`` is argon2."""

    id: str
    name: str
    password_hash: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A tenant. Times in UTC."""

    id: str
    name: str
    description: str
    enabled: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RoleRow:
    """What a user is in a tenant."""

    id: str
    name: str


def zone_of(conn: Connection, *, host: str, default_zone: str) -> ZoneRow | None:
    """The zone that a request's host (lower case, with port) asks for."""
    row = conn.execute(_ZONE_OF, {"host": host, "default_zone": default_zone}).first()
    return None if row is None else ZoneRow(*row)


def authorize(
    conn: Connection, *, token_hash: bytes, tenant_id: str, host: str, default_zone: str
) -> Authorized | None:
    """Who a token is for a tenant, and the zone asked, in one query; None: not authorized."""
    values = {
        "token_hash": token_hash,
        "tenant_id": tenant_id,
        "host": host,
        "default_zone": default_zone,
    }
    row = conn.execute(_AUTHORIZE, values).first()
    if row is None:
        return None
    user_id, zone_id, zone_name, url, rates = row
    zone = None if zone_id is None else ZoneRow(zone_id, zone_name, url)
    return Authorized(user_id, zone, rates or {})


def user_named(conn: Connection, name: str) -> UserRow | None:
    """A user by name, whether enabled or not."""
    row = conn.execute(_USER_BY_NAME, {"name": name}).first()
    return None if row is None else UserRow(*row)


def tenants_of(conn: Connection, user_id: str) -> list[TenantRow]:
    """The tenants that a user is a member of (R12), whether enabled or not, by id."""
    return [TenantRow(*row) for row in conn.execute(_TENANTS, {"user_id": user_id})]


def roles_of(conn: Connection, user_id: str, tenant_id: str) -> list[RoleRow]:
    """The roles of a user in a tenant."""
    rows = conn.execute(_ROLES, {"user_id": user_id, "tenant_id": tenant_id})
    return [RoleRow(*row) for row in rows]


def zones(conn: Connection) -> list[ZoneRow]:
    """All zones, by id."""
    return [ZoneRow(*row) for row in conn.execute(_ZONES)]
