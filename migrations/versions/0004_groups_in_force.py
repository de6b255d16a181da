"""Generations of security groups, and which one is in force on each host."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "security_groups",
        sa.Column("generation", sa.BigInteger(), server_default="1", nullable=False),
    )
    op.create_table(
        "host_security_groups",
        sa.Column("host_id", sa.BigInteger(), nullable=False),
        sa.Column("group_id", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column(
            "applied_at", sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"), nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.id"],
            name=op.f("fk_host_security_groups_host_id_hosts"), ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["security_groups.id"],
            name=op.f("fk_host_security_groups_group_id_security_groups"), ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("host_id", "group_id", name=op.f("pk_host_security_groups")),
    )  # fmt: skip
    op.create_index(op.f("ix_host_security_groups_group_id"), "host_security_groups", ["group_id"])


def downgrade() -> None:
    op.drop_table("host_security_groups")
    op.drop_column("security_groups", "generation")
