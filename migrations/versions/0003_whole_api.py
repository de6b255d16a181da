"""Access keys, rate limits of tenants, user data and files of servers."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "access_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("algorithm", sa.String(), server_default="HmacSHA1", nullable=False),
        sa.Column("key_length", sa.BigInteger(), server_default="240", nullable=False),
        sa.Column("status", sa.String(), server_default="active", nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
        sa.CheckConstraint("id ~ '^[A-Z0-9]{20}$'", name=op.f("ck_access_keys_id")),
        sa.CheckConstraint("status IN ('active', 'inactive')", name=op.f("ck_access_keys_status")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_access_keys_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_keys")),
    )
    op.create_index(op.f("ix_access_keys_user_id"), "access_keys", ["user_id"])
    op.add_column("tokens", sa.Column("access_key_id", sa.String(), nullable=True))
    op.create_foreign_key(
        op.f("fk_tokens_access_key_id_access_keys"),
        "tokens", "access_keys", ["access_key_id"], ["id"], ondelete="CASCADE",
    )  # fmt: skip
    op.create_index(op.f("ix_tokens_access_key_id"), "tokens", ["access_key_id"])
    op.add_column(
        "token_scopes",
        sa.Column("scoped_at", sa.DateTime(timezone=True), server_default=_NOW, nullable=False),
    )
    op.create_table(
        "rate_limits",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("value = -1 OR value > 0", name=op.f("ck_rate_limits_value")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"],
            name=op.f("fk_rate_limits_tenant_id_tenants"), ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["zone_id"], ["zones.id"], name=op.f("fk_rate_limits_zone_id_zones")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "zone_id", "name", name=op.f("pk_rate_limits")),
    )  # fmt: skip
    op.add_column("servers", sa.Column("user_data", sa.LargeBinary(), nullable=True))
    op.create_table(
        "server_files",
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("contents", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["server_id"], ["servers.id"],
            name=op.f("fk_server_files_server_id_servers"), ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("server_id", "position", name=op.f("pk_server_files")),
    )  # fmt: skip
    op.create_index("ix_images_changes", "images", ["zone_id", "updated_at"])


def downgrade() -> None:
    op.drop_index("ix_images_changes", table_name="images")
    op.drop_table("server_files")
    op.drop_column("servers", "user_data")
    op.drop_table("rate_limits")
    op.drop_column("token_scopes", "scoped_at")
    op.drop_index(op.f("ix_tokens_access_key_id"), table_name="tokens")
    op.drop_column("tokens", "access_key_id")
    op.drop_table("access_keys")
