"""Zones, tenants, users and tokens; flavors, images and keypairs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "flavors",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("vcpus", sa.BigInteger(), nullable=False),
        sa.Column("ram_mb", sa.BigInteger(), nullable=False),
        sa.Column("disk_gb", sa.BigInteger(), nullable=False),
        sa.Column("swap_mb", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rxtx_quota", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rxtx_cap", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "vcpus > 0 AND ram_mb > 0 AND disk_gb >= 0 AND swap_mb >= 0",
            name=op.f("ck_flavors_sizes"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flavors")),
    )
    op.create_index(
        "uq_flavors_name_live",
        "flavors",
        ["name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "roles",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roles")),
        sa.UniqueConstraint("name", name=op.f("uq_roles_name")),
    )
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), server_default="", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("name", name=op.f("uq_tenants_name")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "zones",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("compute_url", sa.String(), nullable=True),
        sa.Column("root_gb", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("hostname_domain", sa.String(), server_default="novalocal", nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_zones")),
        sa.UniqueConstraint("compute_url", name=op.f("uq_zones_compute_url")),
        sa.UniqueConstraint("name", name=op.f("uq_zones_name")),
    )
    op.create_table(
        "images",
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), server_default="machine", nullable=False),
        sa.Column("status", sa.String(), server_default="SAVING", nullable=False),
        sa.Column("progress", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("disk_format", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("virtual_size", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("checksum", sa.String(), nullable=True),
        sa.Column("min_disk_gb", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("min_ram_mb", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("kernel_id", sa.BigInteger(), nullable=True),
        sa.Column("ramdisk_id", sa.BigInteger(), nullable=True),
        sa.Column("source_server_id", sa.BigInteger(), nullable=True),
        sa.Column("source_server_uuid", sa.String(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("disk_format IN ('raw', 'qcow2')", name=op.f("ck_images_disk_format")),
        sa.CheckConstraint("kind IN ('machine', 'kernel', 'ramdisk')", name=op.f("ck_images_kind")),
        sa.CheckConstraint(
            "status <> 'ACTIVE' OR checksum IS NOT NULL", name=op.f("ck_images_active_has_bytes")
        ),
        sa.CheckConstraint(
            "status IN ('UNKNOWN', 'ACTIVE', 'SAVING', 'ERROR', 'DELETED')",
            name=op.f("ck_images_status"),
        ),
        sa.ForeignKeyConstraint(
            ["kernel_id"], ["images.id"], name=op.f("fk_images_kernel_id_images")
        ),
        sa.ForeignKeyConstraint(
            ["ramdisk_id"], ["images.id"], name=op.f("fk_images_ramdisk_id_images")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_images_tenant_id_tenants")
        ),
        sa.ForeignKeyConstraint(["zone_id"], ["zones.id"], name=op.f("fk_images_zone_id_zones")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
    )
    op.create_index(op.f("ix_images_checksum"), "images", ["checksum"], unique=False)
    op.create_index(
        "ix_images_zone_id_tenant_id_created_at",
        "images",
        ["zone_id", "tenant_id", "created_at"],
        unique=False,
    )
    op.create_table(
        "keypairs",
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_keypairs_tenant_id_tenants")
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_keypairs_user_id_users"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["zone_id"], ["zones.id"], name=op.f("fk_keypairs_zone_id_zones")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keypairs")),
    )
    op.create_index(
        "uq_keypairs_owner_name",
        "keypairs",
        ["zone_id", "tenant_id", "user_id", "name"],
        unique=True,
    )
    op.create_table(
        "quotas",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("resource", sa.String(), nullable=False),
        sa.Column("hard_limit", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("hard_limit >= -1", name=op.f("ck_quotas_hard_limit")),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_quotas_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["zone_id"], ["zones.id"], name=op.f("fk_quotas_zone_id_zones")),
        sa.PrimaryKeyConstraint("tenant_id", "zone_id", "resource", name=op.f("pk_quotas")),
    )
    op.create_table(
        "tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("octet_length(hash) = 32", name=op.f("ck_tokens_sha256")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_tokens_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_tokens")),
    )
    op.create_index(op.f("ix_tokens_expires_at"), "tokens", ["expires_at"], unique=False)
    op.create_index(op.f("ix_tokens_user_id"), "tokens", ["user_id"], unique=False)
    op.create_table(
        "user_roles",
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("role_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["role_id"], ["roles.id"], name=op.f("fk_user_roles_role_id_roles")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_user_roles_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_roles_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "tenant_id", "role_id", name=op.f("pk_user_roles")),
    )
    op.create_index(op.f("ix_user_roles_tenant_id"), "user_roles", ["tenant_id"], unique=False)
    op.create_table(
        "image_metadata",
        sa.Column("image_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=True),
        sa.Column("system", sa.Boolean(), server_default="false", nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["images.id"],
            name=op.f("fk_image_metadata_image_id_images"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("image_id", "key", name=op.f("pk_image_metadata")),
    )
    op.create_table(
        "token_scopes",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_token_scopes_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["token_hash"],
            ["tokens.hash"],
            name=op.f("fk_token_scopes_token_hash_tokens"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", "tenant_id", name=op.f("pk_token_scopes")),
    )
    op.create_index("ix_token_scopes_tenant_id", "token_scopes", ["tenant_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_token_scopes_tenant_id", table_name="token_scopes")
    op.drop_table("token_scopes")
    op.drop_table("image_metadata")
    op.drop_index(op.f("ix_user_roles_tenant_id"), table_name="user_roles")
    op.drop_table("user_roles")
    op.drop_index(op.f("ix_tokens_user_id"), table_name="tokens")
    op.drop_index(op.f("ix_tokens_expires_at"), table_name="tokens")
    op.drop_table("tokens")
    op.drop_table("quotas")
    op.drop_index("uq_keypairs_owner_name", table_name="keypairs")
    op.drop_table("keypairs")
    op.drop_index("ix_images_zone_id_tenant_id_created_at", table_name="images")
    op.drop_index(op.f("ix_images_checksum"), table_name="images")
    op.drop_table("images")
    op.drop_table("zones")
    op.drop_table("users")
    op.drop_table("tenants")
    op.drop_table("roles")
    op.drop_index(
        "uq_flavors_name_live", table_name="flavors", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_table("flavors")
