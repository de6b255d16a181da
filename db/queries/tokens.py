"""Tokens: made, scoped, validated, revoked (R8-R10, R19, wire-notes 4.2).

A token is known by its SHA-256 alone. Whatever ends a token (revocation, the end of its access key,
a user or tenant disabled) removes its row or its scope, and a token is made and scoped only while
what it depends on is locked against that: a login that races with an end is refused, or what it
made is removed with the rest (security: row 24).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from db.queries.identity import TenantRow, UserRow

_MEMBER = """
    EXISTS (SELECT 1 FROM user_roles m WHERE m.user_id = t.user_id AND m.tenant_id = n.id)
"""
_HOLDER = text("""
    SELECT u.id, u.name, u.password_hash, u.enabled, t.expires_at, t.access_key_id,
           EXISTS (SELECT 1 FROM token_scopes s
                   JOIN tenants n ON n.id = s.tenant_id AND n.enabled
                   JOIN user_roles m ON m.tenant_id = n.id AND m.user_id = u.id
                   JOIN roles r ON r.id = m.role_id AND r.name = :admin_role
                   WHERE s.token_hash = t.hash)
    FROM tokens t JOIN users u ON u.id = t.user_id
    WHERE t.hash = :token_hash AND t.expires_at > clock_timestamp()
""")
_VALIDATE = text(f"""
    SELECT u.id, u.name, u.password_hash, u.enabled, t.expires_at,
           n.id, n.name, n.description, n.enabled, n.created_at, n.updated_at
    FROM tokens t JOIN users u ON u.id = t.user_id AND u.enabled
    LEFT JOIN LATERAL (
        SELECT n.* FROM token_scopes s JOIN tenants n ON n.id = s.tenant_id AND n.enabled
        WHERE s.token_hash = t.hash AND {_MEMBER}
          AND n.id = coalesce(CAST(:tenant_id AS text), n.id)
        ORDER BY s.scoped_at DESC LIMIT 1) n ON true
    WHERE t.hash = :token_hash AND t.expires_at > clock_timestamp()
      AND t.user_id = coalesce(CAST(:user_id AS text), t.user_id)
      AND (n.id IS NOT NULL OR CAST(:tenant_id AS text) IS NULL)
""")
_ADD = text("""
    WITH u AS (SELECT id FROM users
          WHERE id = :user_id AND enabled AND password_hash = :password_hash FOR SHARE),
    k AS (SELECT id, valid_to FROM access_keys
          WHERE id = :access_key_id AND user_id = :user_id AND status = 'active'
            AND valid_from <= clock_timestamp() AND coalesce(valid_to > clock_timestamp(), true)
          FOR SHARE)
    INSERT INTO tokens (hash, user_id, access_key_id, created_at, expires_at)
    SELECT :token_hash, u.id, k.id, now(),
           least(now() + make_interval(hours => :hours), k.valid_to)
    FROM u LEFT JOIN k ON true
    WHERE k.id IS NOT NULL OR CAST(:access_key_id AS text) IS NULL
    RETURNING expires_at
""")
_SCOPE = text("""
    INSERT INTO token_scopes (token_hash, tenant_id)
    SELECT t.hash, n.id FROM tokens t CROSS JOIN tenants n
    WHERE t.hash = :token_hash AND t.expires_at > clock_timestamp()
      AND n.id = :tenant_id AND n.enabled
    FOR KEY SHARE OF t FOR SHARE OF n
    ON CONFLICT (token_hash, tenant_id) DO UPDATE SET scoped_at = clock_timestamp()
    RETURNING 1
""")
_REVOKE = text("""
    DELETE FROM tokens WHERE hash = :token_hash AND expires_at > clock_timestamp()
      AND user_id = coalesce(CAST(:user_id AS text), user_id) RETURNING 1
""")


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a good token is, maybe of a disabled user.

    ``access_key_id``: the key that made it. ``admin``: it is scoped to a tenant in which the user
    has the administrators' role.
    """

    user: UserRow
    expires: datetime
    access_key_id: str | None
    admin: bool


@dataclass(frozen=True, slots=True)
class Valid:
    """What a good token is good for; ``tenant`` is the last one that it was scoped to."""

    user: UserRow
    expires: datetime
    tenant: TenantRow | None


def holder(conn: Connection, *, token_hash: bytes, admin_role: str) -> Holder | None:
    """Whose an unexpired token is."""
    values = {"token_hash": token_hash, "admin_role": admin_role}
    row = conn.execute(_HOLDER, values).first()
    return None if row is None else Holder(UserRow(*row[:4]), *row[4:])


def validate(
    conn: Connection, *, token_hash: bytes, tenant_id: str | None, user_id: str | None
) -> Valid | None:
    """What a token is good for; None when it is not, or not for that tenant or of that user."""
    values = {"token_hash": token_hash, "tenant_id": tenant_id, "user_id": user_id}
    row = conn.execute(_VALIDATE, values).first()
    if row is None:
        return None
    tenant = None if row[5] is None else TenantRow(*row[5:])
    return Valid(UserRow(*row[:4]), row[4], tenant)


def add(
    conn: Connection, *, token_hash: bytes, user: UserRow, access_key_id: str | None, hours: int
) -> datetime | None:
    """Keep a new, unscoped token; its expiry, at most that of its key.

    None when the user was disabled or given another password, or the key has ended, meanwhile.
    """
    values = {
        "token_hash": token_hash,
        "user_id": user.id,
        "password_hash": user.password_hash,
        "access_key_id": access_key_id,
        "hours": hours,
    }
    expires: datetime | None = conn.execute(_ADD, values).scalar()
    return expires


def scope(conn: Connection, *, token_hash: bytes, tenant_id: str) -> bool:
    """Make a token good for a tenant too; id and expiry stay. Runs twice without harm.

    False when the token has ended or the tenant was disabled meanwhile.
    """
    values = {"token_hash": token_hash, "tenant_id": tenant_id}
    return conn.execute(_SCOPE, values).first() is not None


def revoke(conn: Connection, *, token_hash: bytes, user_id: str | None) -> bool:
    """End a token, of that user if one is given; False when there is none such."""
    values = {"token_hash": token_hash, "user_id": user_id}
    return conn.execute(_REVOKE, values).first() is not None
