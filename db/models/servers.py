"""Servers and what belongs to one."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, HasId, HasTimes

VM_STATES = (
    "ACTIVE", "BUILD", "REBUILD", "STOPPED", "MIGRATING", "RESIZING",
    "PAUSED", "SUSPENDED", "RESCUE", "ERROR", "DELETED",
)  # fmt: skip


class ServerName(HasId, Base):
    """A live display name, owned by one create call: its servers share the row (R98, R100, D15)."""

    __tablename__ = "server_names"

    zone_id: Mapped[int] = mapped_column(ForeignKey("zones.id"))
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]

    __table_args__ = (UniqueConstraint("zone_id", "tenant_id", "name"),)


class Server(HasId, HasTimes, Base):
    """A virtual machine as the client sees it. Kept after deletion for changes-since (R53).

    ``vm_state`` and ``task_state`` make the status (D2); ``generation`` rises with every change
    that the host must apply; flavor and public key are copies, so that later changes touch nothing.
    """

    __tablename__ = "servers"

    uuid: Mapped[str] = mapped_column(
        UUID(as_uuid=False), unique=True, server_default=text("gen_random_uuid()")
    )
    zone_id: Mapped[int] = mapped_column(ForeignKey("zones.id"))
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    name_id: Mapped[int | None] = mapped_column(ForeignKey("server_names.id"), index=True)
    hostname: Mapped[str]
    launch_index: Mapped[int] = mapped_column(server_default="0")
    reservation_id: Mapped[str]
    flavor_id: Mapped[int]
    flavor_name: Mapped[str]
    vcpus: Mapped[int]
    ram_mb: Mapped[int]
    disk_gb: Mapped[int]
    root_gb: Mapped[int]
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    key_name: Mapped[str | None]
    public_key: Mapped[str | None]
    config_drive: Mapped[bool] = mapped_column(server_default="false")
    user_data: Mapped[bytes | None] = mapped_column(LargeBinary)  # decoded (D57)
    vm_state: Mapped[str] = mapped_column(server_default="BUILD")
    task_state: Mapped[str | None]
    power_state: Mapped[str | None]  # what the host last saw: running, paused, shutoff, crashed
    host_id: Mapped[int | None] = mapped_column(ForeignKey("hosts.id"), index=True)
    generation: Mapped[int] = mapped_column(server_default="1")
    fault_code: Mapped[int | None]
    fault_message: Mapped[str | None]  # for the client: from the fault catalogue, no internals
    launched_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"vm_state IN {VM_STATES}", name="vm_state"),
        CheckConstraint("(deleted_at IS NULL) = (vm_state <> 'DELETED')", name="deleted"),
        CheckConstraint("(deleted_at IS NULL) = (name_id IS NOT NULL)", name="live_has_name"),
        Index(
            "ix_servers_live", "tenant_id", "zone_id", text("created_at DESC"), text("id DESC"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_servers_changes", "tenant_id", "zone_id", "updated_at"),
    )  # fmt: skip


class ServerMetadata(Base):
    """One metadata item of a server (R173-R181)."""

    __tablename__ = "server_metadata"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class ServerFile(Base):
    """A file of the client's personality, to be put into the guest (R186-R191, D55)."""

    __tablename__ = "server_files"

    server_id: Mapped[int] = mapped_column(
        ForeignKey("servers.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    path: Mapped[str]
    contents: Mapped[bytes] = mapped_column(LargeBinary)


class Allocation(Base):
    """What a server holds of a host. The sums equal ``hosts.used_*``."""

    __tablename__ = "allocations"

    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"), primary_key=True)
    host_id: Mapped[int] = mapped_column(ForeignKey("hosts.id"), index=True)
    vcpus: Mapped[int]
    ram_mb: Mapped[int]
    disk_gb: Mapped[int]  # root and ephemeral

    __table_args__ = (CheckConstraint("vcpus > 0 AND ram_mb > 0 AND disk_gb >= 0", name="sizes"),)
