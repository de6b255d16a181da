"""Users and their membership of tenants, as the operator makes them (R12, R13)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from db.queries.tenants import new_id

_INSERT = text("""
    INSERT INTO users (id, name, password_hash) VALUES (:id, :name, :password_hash)
    ON CONFLICT DO NOTHING RETURNING id
""")
_ROLE = text("""
    INSERT INTO roles (id, name) VALUES (:id, :name)
    ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id
""")
_JOIN = text("""
    INSERT INTO user_roles (user_id, tenant_id, role_id) VALUES (:user_id, :tenant_id, :role_id)
    ON CONFLICT DO NOTHING
""")
_LEAVE = text("""
    WITH scopes AS (
        DELETE FROM token_scopes s USING tokens t
        WHERE t.hash = s.token_hash AND t.user_id = :user_id AND s.tenant_id = :tenant_id)
    DELETE FROM user_roles WHERE user_id = :user_id AND tenant_id = :tenant_id
""")
_SET_PASSWORD = text("""
    UPDATE users SET password_hash = :password_hash, updated_at = clock_timestamp()
    WHERE name = :name RETURNING id
""")
_SET_ENABLED = text("""
    UPDATE users SET enabled = :enabled, updated_at = clock_timestamp() WHERE name = :name
    RETURNING id
""")
_END_TOKENS = text("DELETE FROM tokens WHERE user_id = :user_id")
_COLUMNS = """
    SELECT u.id, u.name, u.enabled, u.created_at,
           coalesce((SELECT jsonb_agg(jsonb_build_object('tenant_id', t.id, 'tenant', t.name,
                                                         'role', r.name) ORDER BY t.name, r.name)
              FROM user_roles ur JOIN tenants t ON t.id = ur.tenant_id
              JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id), '[]') AS roles
    FROM users u
"""
_LIST = text(f"{_COLUMNS} ORDER BY u.name")
_FIND = text(f"{_COLUMNS} WHERE u.name = :name")


@dataclass(frozen=True, slots=True)
class UserSummary:
    """A user; ``roles`` are objects {tenant_id, tenant, role}. Times in UTC."""

    id: str
    name: str
    enabled: bool
    created_at: datetime
    roles: list[dict[str, Any]]


def create(conn: Connection, name: str, password_hash: str) -> bool:
    """Make a user who is in no tenant; False when the name is taken."""
    values = {"id": new_id(), "name": name, "password_hash": password_hash}
    return conn.execute(_INSERT, values).first() is not None


def join(conn: Connection, user_id: str, tenant_id: str, role: str) -> None:
    """The user has the role, made when missing, in the tenant. Runs twice without harm."""
    role_id = conn.execute(_ROLE, {"id": new_id(), "name": role}).scalar_one()
    conn.execute(_JOIN, {"user_id": user_id, "tenant_id": tenant_id, "role_id": role_id})


def leave(conn: Connection, user_id: str, tenant_id: str) -> bool:
    """The user is no member of the tenant any more; False when that was so."""
    values = {"user_id": user_id, "tenant_id": tenant_id}
    return conn.execute(_LEAVE, values).rowcount > 0


def set_password(conn: Connection, name: str, password_hash: str) -> bool:
    """Give a user another password and end all tokens; False when there is none such."""
    user_id = conn.execute(_SET_PASSWORD, {"name": name, "password_hash": password_hash}).scalar()
    if user_id is not None:
        conn.execute(_END_TOKENS, {"user_id": user_id})
    return user_id is not None


def set_enabled(conn: Connection, name: str, *, enabled: bool) -> bool:
    """Let a user in, or end all tokens and let in no more; False when there is none such."""
    user_id = conn.execute(_SET_ENABLED, {"name": name, "enabled": enabled}).scalar()
    if user_id is not None and not enabled:
        conn.execute(_END_TOKENS, {"user_id": user_id})
    return user_id is not None


def find(conn: Connection, name: str) -> UserSummary | None:
    """A user by name; None when there is none such."""
    row = conn.execute(_FIND, {"name": name}).first()
    return None if row is None else UserSummary(*row)


def list_all(conn: Connection) -> list[UserSummary]:
    """All users, by name."""
    return [UserSummary(*row) for row in conn.execute(_LIST)]
