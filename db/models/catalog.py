"""What servers are made of: flavors, images, keypairs."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, HasId, HasTimes

IMAGE_STATES = ("UNKNOWN", "ACTIVE", "SAVING", "ERROR", "DELETED")


class Flavor(HasTimes, Base):
    """Size of a server (R210-R214). Servers keep a copy, so a flavor may go at any time."""

    __tablename__ = "flavors"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    vcpus: Mapped[int]
    ram_mb: Mapped[int]
    disk_gb: Mapped[int]  # ephemeral disk
    swap_mb: Mapped[int] = mapped_column(server_default="0")
    rxtx_quota: Mapped[int] = mapped_column(server_default="0")
    rxtx_cap: Mapped[int] = mapped_column(server_default="0")
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "uq_flavors_name_live", "name", unique=True, postgresql_where=text("deleted_at IS NULL")
        ),
        CheckConstraint("vcpus > 0 AND ram_mb > 0 AND disk_gb >= 0 AND swap_mb >= 0", name="sizes"),
    )


class Image(HasId, HasTimes, Base):
    """A machine, kernel or ramdisk image (R156-R159). ``tenant_id`` None: the operator's."""

    __tablename__ = "images"

    zone_id: Mapped[int] = mapped_column(ForeignKey("zones.id"))
    tenant_id: Mapped[str | None] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(server_default="machine")
    status: Mapped[str] = mapped_column(server_default="SAVING")
    progress: Mapped[int] = mapped_column(server_default="0")
    disk_format: Mapped[str]
    size: Mapped[int] = mapped_column(server_default="0")  # bytes of the file
    virtual_size: Mapped[int] = mapped_column(server_default="0")  # bytes that a guest sees
    checksum: Mapped[str | None] = mapped_column(index=True)  # SHA-256, hex; names the stored file
    min_disk_gb: Mapped[int] = mapped_column(server_default="0")
    min_ram_mb: Mapped[int] = mapped_column(server_default="0")
    kernel_id: Mapped[int | None] = mapped_column(ForeignKey("images.id"))
    ramdisk_id: Mapped[int | None] = mapped_column(ForeignKey("images.id"))
    source_server_id: Mapped[int | None]
    source_server_uuid: Mapped[str | None]
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("kind IN ('machine', 'kernel', 'ramdisk')", name="kind"),
        CheckConstraint("disk_format IN ('raw', 'qcow2')", name="disk_format"),
        CheckConstraint(f"status IN {IMAGE_STATES}", name="status"),
        CheckConstraint("status <> 'ACTIVE' OR checksum IS NOT NULL", name="active_has_bytes"),
        Index("ix_images_zone_id_tenant_id_created_at", "zone_id", "tenant_id", "created_at"),
        Index("ix_images_changes", "zone_id", "updated_at"),
    )


class ImageMetadata(Base):
    """One item of an image. ``system`` items are shown but not the client's to change (D43)."""

    __tablename__ = "image_metadata"

    image_id: Mapped[int] = mapped_column(
        ForeignKey("images.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str | None]
    system: Mapped[bool] = mapped_column(server_default="false")


class Keypair(HasId, Base):
    """Public half of a user's key in a tenant and zone (D65); the private half is never stored."""

    __tablename__ = "keypairs"

    zone_id: Mapped[int] = mapped_column(ForeignKey("zones.id"))
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    public_key: Mapped[str]
    fingerprint: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))

    __table_args__ = (
        Index("uq_keypairs_owner_name", "zone_id", "tenant_id", "user_id", "name", unique=True),
    )
