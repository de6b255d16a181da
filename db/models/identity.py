"""Zones, tenants, users and their tokens."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, HasId, HasTimes


class Zone(HasId, Base):
    """An availability zone: the scope, beside the tenant, of every other record (R14, R16)."""

    __tablename__ = "zones"

    name: Mapped[str] = mapped_column(unique=True)
    compute_url: Mapped[str | None] = mapped_column(unique=True)  # None: the settings' public_url
    root_gb: Mapped[int] = mapped_column(server_default="0")  # root disk size; 0: the image's
    hostname_domain: Mapped[str] = mapped_column(server_default="novalocal")


class Tenant(HasTimes, Base):
    """A customer. Ids are digits, as in the reference."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(server_default="")
    enabled: Mapped[bool] = mapped_column(server_default="true")


class User(HasTimes, Base):
    """A person or program. Made apart from tenants, then associated by roles (R12, R13)."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]  # argon2
    enabled: Mapped[bool] = mapped_column(server_default="true")


class Role(Base):
    """What a user is in a tenant."""

    __tablename__ = "roles"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class UserRole(Base):
    """Association of user and tenant."""

    __tablename__ = "user_roles"

    user_id: Mapped[str] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[str] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    role_id: Mapped[str] = mapped_column(ForeignKey("roles.id"), primary_key=True)


class AccessKey(Base):
    """A user's key for programs (wire-notes 4.2). Its secret signs, so it is kept encrypted."""

    __tablename__ = "access_keys"

    id: Mapped[str] = mapped_column(primary_key=True)  # 20 of A-Z0-9
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    secret: Mapped[bytes] = mapped_column(LargeBinary)  # encrypted with the settings' key
    algorithm: Mapped[str] = mapped_column(server_default="HmacSHA1")
    key_length: Mapped[int] = mapped_column(server_default="240")
    status: Mapped[str] = mapped_column(server_default="active")
    valid_from: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    valid_to: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))

    __table_args__ = (
        CheckConstraint("id ~ '^[A-Z0-9]{20}$'", name="id"),
        CheckConstraint("status IN ('active', 'inactive')", name="status"),
    )


class Token(Base):
    """A token, known by its SHA-256 alone (security: standing rules)."""

    __tablename__ = "tokens"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    access_key_id: Mapped[str | None] = mapped_column(  # its tokens end with it (security: row 24)
        ForeignKey("access_keys.id", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (CheckConstraint("octet_length(hash) = 32", name="sha256"),)


class TokenScope(Base):
    """A tenant that a token is scoped to. Rescoping keeps the token and adds one."""

    __tablename__ = "token_scopes"

    token_hash: Mapped[bytes] = mapped_column(
        LargeBinary, ForeignKey("tokens.hash", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[str] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True
    )
    scoped_at: Mapped[datetime] = mapped_column(  # the last one is what validation shows
        server_default=text("clock_timestamp()")
    )

    __table_args__ = (Index("ix_token_scopes_tenant_id", "tenant_id"),)


class Quota(Base):
    """A tenant's own limit in a zone; resources without a row have the default (R57, R65)."""

    __tablename__ = "quotas"

    tenant_id: Mapped[str] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True
    )
    zone_id: Mapped[int] = mapped_column(ForeignKey("zones.id"), primary_key=True)
    resource: Mapped[str] = mapped_column(primary_key=True)
    hard_limit: Mapped[int]  # -1: unlimited

    __table_args__ = (CheckConstraint("hard_limit >= -1", name="hard_limit"),)


class RateLimit(Base):
    """A tenant's own rate limit in a zone; rates without a row have the settings' (R66-R69)."""

    __tablename__ = "rate_limits"

    tenant_id: Mapped[str] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True
    )
    zone_id: Mapped[int] = mapped_column(ForeignKey("zones.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)  # of a rate in the settings
    value: Mapped[int]  # requests per unit; -1: unlimited

    __table_args__ = (CheckConstraint("value = -1 OR value > 0", name="value"),)
