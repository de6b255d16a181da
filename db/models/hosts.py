"""Compute hosts."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, HasId, HasTimes


class Host(HasId, HasTimes, Base):
    """A machine that runs guests. Its agent writes the totals, claims move ``used_*``."""

    __tablename__ = "hosts"

    name: Mapped[str] = mapped_column(unique=True)
    zone_id: Mapped[int] = mapped_column(ForeignKey("zones.id"), index=True)
    enabled: Mapped[bool] = mapped_column(server_default="true")
    disabled_reason: Mapped[str | None]
    management_address: Mapped[str]
    hypervisor: Mapped[str]  # kvm, qemu or fake
    vcpus: Mapped[int]
    ram_mb: Mapped[int]
    disk_gb: Mapped[int]
    vcpu_ratio: Mapped[float]
    ram_ratio: Mapped[float]
    disk_ratio: Mapped[float]
    reserved_ram_mb: Mapped[int] = mapped_column(server_default="0")
    used_vcpus: Mapped[int] = mapped_column(server_default="0")
    used_ram_mb: Mapped[int] = mapped_column(server_default="0")
    used_disk_gb: Mapped[int] = mapped_column(server_default="0")

    __table_args__ = (
        CheckConstraint("used_vcpus >= 0 AND used_ram_mb >= 0 AND used_disk_gb >= 0", name="used"),
    )


class HostHeartbeat(Base):
    """When a host was last heard of. A table of its own, so that saying so locks nothing."""

    __tablename__ = "host_heartbeats"

    host_id: Mapped[int] = mapped_column(
        ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True
    )
    at: Mapped[datetime]
    boot_id: Mapped[str]  # changes when the host, not the agent, starts anew
    details: Mapped[dict[str, Any]]
