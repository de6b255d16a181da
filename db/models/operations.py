"""Operations: what must happen (architecture: the one idea)."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, HasId


class Operation(HasId, Base):
    """One change that takes more than one transaction.

    Live while ``finished_at`` is null. Constraints: one live exclusive operation per subject, and
    one live delete, which has a slot of its own and cancels the other. ``lease_seq`` rises with
    every lease and fences every write of a worker.
    """

    __tablename__ = "operations"

    zone_id: Mapped[int] = mapped_column(ForeignKey("zones.id"))
    tenant_id: Mapped[str | None] = mapped_column(ForeignKey("tenants.id"))
    subject_kind: Mapped[str]
    subject_id: Mapped[int]
    kind: Mapped[str]
    step: Mapped[str]
    target: Mapped[str]  # "scheduler" or "host.<name>": also the name of the queue
    params: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    outcome: Mapped[str | None]  # done, failed or cancelled, once finished
    attempt: Mapped[int] = mapped_column(server_default="0")
    run_after: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    lease_seq: Mapped[int] = mapped_column(server_default="0")
    deadline: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    request_id: Mapped[str]
    error: Mapped[str | None]  # for operators
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("subject_kind IN ('server', 'image', 'volume', 'backup')", name="subject"),
        CheckConstraint("(outcome IS NULL) = (finished_at IS NULL)", name="outcome"),
        Index(
            "uq_operations_live_exclusive", "subject_kind", "subject_id", unique=True,
            postgresql_where=text("finished_at IS NULL AND kind <> 'delete'"),
        ),
        Index(
            "uq_operations_live_delete", "subject_kind", "subject_id", unique=True,
            postgresql_where=text("finished_at IS NULL AND kind = 'delete'"),
        ),
        Index(
            "ix_operations_due", "target", "run_after",
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index("ix_operations_subject", "subject_kind", "subject_id", "id"),
    )  # fmt: skip


class OperationEvent(HasId, Base):
    """One line of a subject's timeline; only ever added."""

    __tablename__ = "operation_events"

    operation_id: Mapped[int] = mapped_column(
        ForeignKey("operations.id", ondelete="CASCADE"), index=True
    )
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    step: Mapped[str]
    level: Mapped[str] = mapped_column(server_default="info")
    actor: Mapped[str]
    message: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(server_default="{}")

    __table_args__ = (CheckConstraint("level IN ('info', 'warning', 'error')", name="level"),)
