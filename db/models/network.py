"""Networks, addresses, security groups."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import CIDR, INET
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, HasId


class Network(HasId, Base):
    """The internal network of a zone (R215-R221): every host is gateway, DHCP and metadata."""

    __tablename__ = "networks"

    zone_id: Mapped[int] = mapped_column(ForeignKey("zones.id"))
    name: Mapped[str]
    cidr: Mapped[str] = mapped_column(CIDR)
    gateway: Mapped[str] = mapped_column(INET)
    gateway_mac: Mapped[str]
    dns: Mapped[str] = mapped_column(server_default="")

    __table_args__ = (UniqueConstraint("zone_id", "name"),)


class FixedAddress(HasId, Base):
    """An internal address. Claimed by one server; its MAC derives from the row."""

    __tablename__ = "fixed_addresses"

    network_id: Mapped[int] = mapped_column(ForeignKey("networks.id", ondelete="CASCADE"))
    address: Mapped[str] = mapped_column(INET)
    server_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id"), unique=True)
    released_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("network_id", "address"),
        Index(
            "ix_fixed_addresses_free", "network_id", text("released_at NULLS FIRST"), "id",
            postgresql_where=text("server_id IS NULL"),
        ),
    )  # fmt: skip


class PublicPool(HasId, Base):
    """A range of external addresses (R217)."""

    __tablename__ = "public_pools"

    zone_id: Mapped[int] = mapped_column(ForeignKey("zones.id"))
    name: Mapped[str]

    __table_args__ = (UniqueConstraint("zone_id", "name"),)


class PublicAddress(HasId, Base):
    """An external address: free, automatic of a server, or a tenant's floating one (R217-R229)."""

    __tablename__ = "public_addresses"

    pool_id: Mapped[int] = mapped_column(ForeignKey("public_pools.id", ondelete="CASCADE"))
    address: Mapped[str] = mapped_column(INET, unique=True)
    tenant_id: Mapped[str | None] = mapped_column(ForeignKey("tenants.id"), index=True)
    server_id: Mapped[int | None] = mapped_column(ForeignKey("servers.id"), index=True)
    automatic: Mapped[bool] = mapped_column(server_default="false")
    associated_at: Mapped[datetime | None]
    released_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("NOT automatic OR server_id IS NOT NULL", name="automatic_has_server"),
        Index(
            "uq_public_addresses_automatic", "server_id", unique=True,
            postgresql_where=text("automatic"),
        ),
        Index(
            "ix_public_addresses_free", "pool_id", text("released_at NULLS FIRST"), "id",
            postgresql_where=text("server_id IS NULL AND tenant_id IS NULL"),
        ),
    )  # fmt: skip


class SecurityGroup(HasId, Base):
    """Named set of rules (R237-R244)."""

    __tablename__ = "security_groups"

    zone_id: Mapped[int] = mapped_column(ForeignKey("zones.id"))
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    generation: Mapped[int] = mapped_column(server_default="1")  # of its rules and members

    __table_args__ = (UniqueConstraint("tenant_id", "zone_id", "name"),)


class SecurityGroupRule(HasId, Base):
    """One normalised rule (R245-R249). The database refuses what a firewall could choke on."""

    __tablename__ = "security_group_rules"

    group_id: Mapped[int] = mapped_column(
        ForeignKey("security_groups.id", ondelete="CASCADE"), index=True
    )
    protocol: Mapped[str | None]
    from_port: Mapped[int | None]
    to_port: Mapped[int | None]
    cidr: Mapped[str | None] = mapped_column(CIDR)
    source_group_id: Mapped[int | None] = mapped_column(
        ForeignKey("security_groups.id", ondelete="CASCADE"), index=True
    )

    __table_args__ = (
        CheckConstraint("(cidr IS NULL) <> (source_group_id IS NULL)", name="one_source"),
        CheckConstraint("cidr IS NULL OR family(cidr) = 4", name="ipv4"),
        CheckConstraint(
            # Coalesced, since a check that is null would let the row in.
            "coalesce((protocol IS NULL AND from_port IS NULL AND to_port IS NULL)"
            " OR (protocol IN ('tcp', 'udp') AND from_port BETWEEN 1 AND 65535"
            " AND to_port BETWEEN from_port AND 65535) OR (protocol = 'icmp'"
            " AND from_port BETWEEN -1 AND 255 AND to_port BETWEEN -1 AND 255), false)",
            name="protocol_and_ports",
        ),
        Index(
            "uq_security_group_rules", "group_id", "protocol", "from_port", "to_port", "cidr",
            "source_group_id", unique=True, postgresql_nulls_not_distinct=True,
        ),
    )  # fmt: skip


class ServerSecurityGroup(Base):
    """A server is a member of a group."""

    __tablename__ = "server_security_groups"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True
    )
    group_id: Mapped[int] = mapped_column(
        ForeignKey("security_groups.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class HostSecurityGroup(Base):
    """The generation of a group that a host has in force; ``error``: what of it is not."""

    __tablename__ = "host_security_groups"

    host_id: Mapped[int] = mapped_column(
        ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True
    )
    group_id: Mapped[int] = mapped_column(
        ForeignKey("security_groups.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    generation: Mapped[int]
    error: Mapped[str | None]
    applied_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
