"""Servers, hosts, networks, addresses, groups and operations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hosts",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("disabled_reason", sa.String(), nullable=True),
        sa.Column("management_address", sa.String(), nullable=False),
        sa.Column("hypervisor", sa.String(), nullable=False),
        sa.Column("vcpus", sa.BigInteger(), nullable=False),
        sa.Column("ram_mb", sa.BigInteger(), nullable=False),
        sa.Column("disk_gb", sa.BigInteger(), nullable=False),
        sa.Column("vcpu_ratio", sa.Double(), nullable=False),
        sa.Column("ram_ratio", sa.Double(), nullable=False),
        sa.Column("disk_ratio", sa.Double(), nullable=False),
        sa.Column("reserved_ram_mb", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("used_vcpus", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("used_ram_mb", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("used_disk_gb", sa.BigInteger(), server_default="0", nullable=False),
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
        sa.CheckConstraint(
            "used_vcpus >= 0 AND used_ram_mb >= 0 AND used_disk_gb >= 0", name=op.f("ck_hosts_used")
        ),
        sa.ForeignKeyConstraint(["zone_id"], ["zones.id"], name=op.f("fk_hosts_zone_id_zones")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hosts")),
        sa.UniqueConstraint("name", name=op.f("uq_hosts_name")),
    )
    op.create_index(op.f("ix_hosts_zone_id"), "hosts", ["zone_id"], unique=False)
    op.create_table(
        "networks",
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("cidr", postgresql.CIDR(), nullable=False),
        sa.Column("gateway", postgresql.INET(), nullable=False),
        sa.Column("gateway_mac", sa.String(), nullable=False),
        sa.Column("dns", sa.String(), server_default="", nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(["zone_id"], ["zones.id"], name=op.f("fk_networks_zone_id_zones")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_networks")),
        sa.UniqueConstraint("zone_id", "name", name=op.f("uq_networks_zone_id_name")),
    )
    op.create_table(
        "operations",
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=True),
        sa.Column("subject_kind", sa.String(), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column(
            "params", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "run_after",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("lease_owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.CheckConstraint(
            "subject_kind IN ('server', 'image', 'volume', 'backup')",
            name=op.f("ck_operations_subject"),
        ),
        sa.CheckConstraint(
            "(outcome IS NULL) = (finished_at IS NULL)", name=op.f("ck_operations_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_operations_tenant_id_tenants")
        ),
        sa.ForeignKeyConstraint(
            ["zone_id"], ["zones.id"], name=op.f("fk_operations_zone_id_zones")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
    )
    op.create_index(
        "ix_operations_due",
        "operations",
        ["target", "run_after"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "ix_operations_subject", "operations", ["subject_kind", "subject_id", "id"], unique=False
    )
    op.create_index(
        "uq_operations_live_delete",
        "operations",
        ["subject_kind", "subject_id"],
        unique=True,
        postgresql_where=sa.text("finished_at IS NULL AND kind = 'delete'"),
    )
    op.create_index(
        "uq_operations_live_exclusive",
        "operations",
        ["subject_kind", "subject_id"],
        unique=True,
        postgresql_where=sa.text("finished_at IS NULL AND kind <> 'delete'"),
    )
    op.create_table(
        "public_pools",
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(
            ["zone_id"], ["zones.id"], name=op.f("fk_public_pools_zone_id_zones")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_public_pools")),
        sa.UniqueConstraint("zone_id", "name", name=op.f("uq_public_pools_zone_id_name")),
    )
    op.create_table(
        "security_groups",
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.String(), server_default="", nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_security_groups_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["zone_id"], ["zones.id"], name=op.f("fk_security_groups_zone_id_zones")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_groups")),
        sa.UniqueConstraint(
            "tenant_id", "zone_id", "name", name=op.f("uq_security_groups_tenant_id_zone_id_name")
        ),
    )
    op.create_table(
        "server_names",
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_server_names_tenant_id_tenants")
        ),
        sa.ForeignKeyConstraint(
            ["zone_id"], ["zones.id"], name=op.f("fk_server_names_zone_id_zones")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_server_names")),
        sa.UniqueConstraint(
            "zone_id", "tenant_id", "name", name=op.f("uq_server_names_zone_id_tenant_id_name")
        ),
    )
    op.create_table(
        "host_heartbeats",
        sa.Column("host_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("boot_id", sa.String(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["host_id"],
            ["hosts.id"],
            name=op.f("fk_host_heartbeats_host_id_hosts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("host_id", name=op.f("pk_host_heartbeats")),
    )
    op.create_table(
        "operation_events",
        sa.Column("operation_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("level", sa.String(), server_default="info", nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column(
            "details", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False
        ),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.CheckConstraint(
            "level IN ('info', 'warning', 'error')", name=op.f("ck_operation_events_level")
        ),
        sa.ForeignKeyConstraint(
            ["operation_id"],
            ["operations.id"],
            name=op.f("fk_operation_events_operation_id_operations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operation_events")),
    )
    op.create_index(
        op.f("ix_operation_events_operation_id"), "operation_events", ["operation_id"], unique=False
    )
    op.create_table(
        "security_group_rules",
        sa.Column("group_id", sa.BigInteger(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=True),
        sa.Column("from_port", sa.BigInteger(), nullable=True),
        sa.Column("to_port", sa.BigInteger(), nullable=True),
        sa.Column("cidr", postgresql.CIDR(), nullable=True),
        sa.Column("source_group_id", sa.BigInteger(), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.CheckConstraint(
            "coalesce((protocol IS NULL AND from_port IS NULL AND to_port IS NULL) OR (protocol IN ('tcp', 'udp') AND from_port BETWEEN 1 AND 65535 AND to_port BETWEEN from_port AND 65535) OR (protocol = 'icmp' AND from_port BETWEEN -1 AND 255 AND to_port BETWEEN -1 AND 255), false)",
            name=op.f("ck_security_group_rules_protocol_and_ports"),
        ),
        sa.CheckConstraint(
            "(cidr IS NULL) <> (source_group_id IS NULL)",
            name=op.f("ck_security_group_rules_one_source"),
        ),
        sa.CheckConstraint(
            "cidr IS NULL OR family(cidr) = 4", name=op.f("ck_security_group_rules_ipv4")
        ),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["security_groups.id"],
            name=op.f("fk_security_group_rules_group_id_security_groups"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["source_group_id"],
            ["security_groups.id"],
            name=op.f("fk_security_group_rules_source_group_id_security_groups"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_group_rules")),
    )
    op.create_index(
        op.f("ix_security_group_rules_group_id"), "security_group_rules", ["group_id"], unique=False
    )
    op.create_index(
        op.f("ix_security_group_rules_source_group_id"),
        "security_group_rules",
        ["source_group_id"],
        unique=False,
    )
    op.create_index(
        "uq_security_group_rules",
        "security_group_rules",
        ["group_id", "protocol", "from_port", "to_port", "cidr", "source_group_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "servers",
        sa.Column(
            "uuid",
            sa.UUID(as_uuid=False),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
        ),
        sa.Column("zone_id", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_id", sa.BigInteger(), nullable=True),
        sa.Column("hostname", sa.String(), nullable=False),
        sa.Column("launch_index", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reservation_id", sa.String(), nullable=False),
        sa.Column("flavor_id", sa.BigInteger(), nullable=False),
        sa.Column("flavor_name", sa.String(), nullable=False),
        sa.Column("vcpus", sa.BigInteger(), nullable=False),
        sa.Column("ram_mb", sa.BigInteger(), nullable=False),
        sa.Column("disk_gb", sa.BigInteger(), nullable=False),
        sa.Column("root_gb", sa.BigInteger(), nullable=False),
        sa.Column("image_id", sa.BigInteger(), nullable=False),
        sa.Column("key_name", sa.String(), nullable=True),
        sa.Column("public_key", sa.String(), nullable=True),
        sa.Column("config_drive", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("vm_state", sa.String(), server_default="BUILD", nullable=False),
        sa.Column("task_state", sa.String(), nullable=True),
        sa.Column("power_state", sa.String(), nullable=True),
        sa.Column("host_id", sa.BigInteger(), nullable=True),
        sa.Column("generation", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("fault_code", sa.BigInteger(), nullable=True),
        sa.Column("fault_message", sa.String(), nullable=True),
        sa.Column("launched_at", sa.DateTime(timezone=True), nullable=True),
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
        sa.CheckConstraint(
            "(deleted_at IS NULL) = (vm_state <> 'DELETED')", name=op.f("ck_servers_deleted")
        ),
        sa.CheckConstraint(
            "vm_state IN ('ACTIVE', 'BUILD', 'REBUILD', 'STOPPED', 'MIGRATING', 'RESIZING', 'PAUSED', 'SUSPENDED', 'RESCUE', 'ERROR', 'DELETED')",
            name=op.f("ck_servers_vm_state"),
        ),
        sa.CheckConstraint(
            "(deleted_at IS NULL) = (name_id IS NOT NULL)", name=op.f("ck_servers_live_has_name")
        ),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_servers_host_id_hosts")),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name=op.f("fk_servers_image_id_images")
        ),
        sa.ForeignKeyConstraint(
            ["name_id"], ["server_names.id"], name=op.f("fk_servers_name_id_server_names")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_servers_tenant_id_tenants")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_servers_user_id_users")),
        sa.ForeignKeyConstraint(["zone_id"], ["zones.id"], name=op.f("fk_servers_zone_id_zones")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_servers")),
        sa.UniqueConstraint("uuid", name=op.f("uq_servers_uuid")),
    )
    op.create_index(
        "ix_servers_changes", "servers", ["tenant_id", "zone_id", "updated_at"], unique=False
    )
    op.create_index(op.f("ix_servers_host_id"), "servers", ["host_id"], unique=False)
    op.create_index(
        "ix_servers_live",
        "servers",
        [
            "tenant_id",
            "zone_id",
            sa.literal_column("created_at DESC"),
            sa.literal_column("id DESC"),
        ],
        unique=False,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(op.f("ix_servers_name_id"), "servers", ["name_id"], unique=False)
    op.create_table(
        "allocations",
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("host_id", sa.BigInteger(), nullable=False),
        sa.Column("vcpus", sa.BigInteger(), nullable=False),
        sa.Column("ram_mb", sa.BigInteger(), nullable=False),
        sa.Column("disk_gb", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "vcpus > 0 AND ram_mb > 0 AND disk_gb >= 0", name=op.f("ck_allocations_sizes")
        ),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.id"], name=op.f("fk_allocations_host_id_hosts")
        ),
        sa.ForeignKeyConstraint(
            ["server_id"], ["servers.id"], name=op.f("fk_allocations_server_id_servers")
        ),
        sa.PrimaryKeyConstraint("server_id", name=op.f("pk_allocations")),
    )
    op.create_index(op.f("ix_allocations_host_id"), "allocations", ["host_id"], unique=False)
    op.create_table(
        "fixed_addresses",
        sa.Column("network_id", sa.BigInteger(), nullable=False),
        sa.Column("address", postgresql.INET(), nullable=False),
        sa.Column("server_id", sa.BigInteger(), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.ForeignKeyConstraint(
            ["network_id"],
            ["networks.id"],
            name=op.f("fk_fixed_addresses_network_id_networks"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["server_id"], ["servers.id"], name=op.f("fk_fixed_addresses_server_id_servers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fixed_addresses")),
        sa.UniqueConstraint(
            "network_id", "address", name=op.f("uq_fixed_addresses_network_id_address")
        ),
        sa.UniqueConstraint("server_id", name=op.f("uq_fixed_addresses_server_id")),
    )
    op.create_index(
        "ix_fixed_addresses_free",
        "fixed_addresses",
        ["network_id", sa.literal_column("released_at NULLS FIRST"), "id"],
        unique=False,
        postgresql_where=sa.text("server_id IS NULL"),
    )
    op.create_table(
        "public_addresses",
        sa.Column("pool_id", sa.BigInteger(), nullable=False),
        sa.Column("address", postgresql.INET(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=True),
        sa.Column("server_id", sa.BigInteger(), nullable=True),
        sa.Column("automatic", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("associated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.CheckConstraint(
            "NOT automatic OR server_id IS NOT NULL",
            name=op.f("ck_public_addresses_automatic_has_server"),
        ),
        sa.ForeignKeyConstraint(
            ["pool_id"],
            ["public_pools.id"],
            name=op.f("fk_public_addresses_pool_id_public_pools"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["server_id"], ["servers.id"], name=op.f("fk_public_addresses_server_id_servers")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_public_addresses_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_public_addresses")),
        sa.UniqueConstraint("address", name=op.f("uq_public_addresses_address")),
    )
    op.create_index(
        "ix_public_addresses_free",
        "public_addresses",
        ["pool_id", sa.literal_column("released_at NULLS FIRST"), "id"],
        unique=False,
        postgresql_where=sa.text("server_id IS NULL AND tenant_id IS NULL"),
    )
    op.create_index(
        op.f("ix_public_addresses_server_id"), "public_addresses", ["server_id"], unique=False
    )
    op.create_index(
        op.f("ix_public_addresses_tenant_id"), "public_addresses", ["tenant_id"], unique=False
    )
    op.create_index(
        "uq_public_addresses_automatic",
        "public_addresses",
        ["server_id"],
        unique=True,
        postgresql_where=sa.text("automatic"),
    )
    op.create_table(
        "server_metadata",
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["server_id"],
            ["servers.id"],
            name=op.f("fk_server_metadata_server_id_servers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("server_id", "key", name=op.f("pk_server_metadata")),
    )
    op.create_table(
        "server_security_groups",
        sa.Column("server_id", sa.BigInteger(), nullable=False),
        sa.Column("group_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["security_groups.id"],
            name=op.f("fk_server_security_groups_group_id_security_groups"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["server_id"],
            ["servers.id"],
            name=op.f("fk_server_security_groups_server_id_servers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("server_id", "group_id", name=op.f("pk_server_security_groups")),
    )
    op.create_index(
        op.f("ix_server_security_groups_group_id"),
        "server_security_groups",
        ["group_id"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_server_security_groups_group_id"), table_name="server_security_groups")
    op.drop_table("server_security_groups")
    op.drop_table("server_metadata")
    op.drop_index(
        "uq_public_addresses_automatic",
        table_name="public_addresses",
        postgresql_where=sa.text("automatic"),
    )
    op.drop_index(op.f("ix_public_addresses_tenant_id"), table_name="public_addresses")
    op.drop_index(op.f("ix_public_addresses_server_id"), table_name="public_addresses")
    op.drop_index(
        "ix_public_addresses_free",
        table_name="public_addresses",
        postgresql_where=sa.text("server_id IS NULL AND tenant_id IS NULL"),
    )
    op.drop_table("public_addresses")
    op.drop_index(
        "ix_fixed_addresses_free",
        table_name="fixed_addresses",
        postgresql_where=sa.text("server_id IS NULL"),
    )
    op.drop_table("fixed_addresses")
    op.drop_index(op.f("ix_allocations_host_id"), table_name="allocations")
    op.drop_table("allocations")
    op.drop_index(op.f("ix_servers_name_id"), table_name="servers")
    op.drop_index(
        "ix_servers_live", table_name="servers", postgresql_where=sa.text("deleted_at IS NULL")
    )
    op.drop_index(op.f("ix_servers_host_id"), table_name="servers")
    op.drop_index("ix_servers_changes", table_name="servers")
    op.drop_table("servers")
    op.drop_index(
        "uq_security_group_rules",
        table_name="security_group_rules",
        postgresql_nulls_not_distinct=True,
    )
    op.drop_index(
        op.f("ix_security_group_rules_source_group_id"), table_name="security_group_rules"
    )
    op.drop_index(op.f("ix_security_group_rules_group_id"), table_name="security_group_rules")
    op.drop_table("security_group_rules")
    op.drop_index(op.f("ix_operation_events_operation_id"), table_name="operation_events")
    op.drop_table("operation_events")
    op.drop_table("host_heartbeats")
    op.drop_table("server_names")
    op.drop_table("security_groups")
    op.drop_table("public_pools")
    op.drop_index(
        "uq_operations_live_exclusive",
        table_name="operations",
        postgresql_where=sa.text("finished_at IS NULL AND kind <> 'delete'"),
    )
    op.drop_index(
        "uq_operations_live_delete",
        table_name="operations",
        postgresql_where=sa.text("finished_at IS NULL AND kind = 'delete'"),
    )
    op.drop_index("ix_operations_subject", table_name="operations")
    op.drop_index(
        "ix_operations_due",
        table_name="operations",
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.drop_table("operations")
    op.drop_table("networks")
    op.drop_index(op.f("ix_hosts_zone_id"), table_name="hosts")
    op.drop_table("hosts")
