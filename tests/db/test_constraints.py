"""What the database itself refuses, whoever asks (architecture: the tables)."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DataError, IntegrityError

from tests.db.world import World, add_addresses


class TestRules:
    """A rule that a firewall could choke on cannot be stored (security: row 16)."""

    INSERT = """
        INSERT INTO security_group_rules (group_id, protocol, from_port, to_port, cidr,
                                          source_group_id)
        SELECT id, :protocol, :first, :last, CAST(:cidr AS cidr),
               CASE WHEN :own THEN id END FROM security_groups ORDER BY id LIMIT 1 RETURNING id
    """

    def add(
        self, world: World, protocol: str | None, first: int | None, last: int | None,
        cidr: str | None = "10.0.0.0/8", own: bool = False,
    ) -> None:  # fmt: skip
        world.rows(self.INSERT, protocol=protocol, first=first, last=last, cidr=cidr, own=own)

    @pytest.mark.parametrize(
        ("protocol", "first", "last"),
        [("tcp", 1, 65535), ("udp", 53, 53), ("icmp", -1, -1), ("icmp", 8, 0), (None, None, None)],
    )
    def test_good_ones(
        self, world: World, protocol: str | None, first: int | None, last: int | None
    ) -> None:
        self.add(world, protocol, first, last)

    @pytest.mark.parametrize(
        ("protocol", "first", "last"),
        [
            ("tcp", 0, 10), ("tcp", 10, 9), ("tcp", 1, 65536), ("tcp", None, None),
            ("tcp", -1, -1), ("TCP", 1, 2), ("udp", 1, None), ("icmp", -2, 0), ("icmp", 0, 256),
            ("icmp", None, None), ("gre", 1, 1), ("6", 1, 1), (None, 1, 2), ("", None, None),
        ],
    )  # fmt: skip
    def test_security_16_bad_protocol_or_ports(
        self, world: World, protocol: str | None, first: int | None, last: int | None
    ) -> None:
        with pytest.raises(IntegrityError, match="protocol_and_ports"):
            self.add(world, protocol, first, last)

    def test_security_16_one_source(self, world: World) -> None:
        with pytest.raises(IntegrityError, match="one_source"):
            self.add(world, "tcp", 1, 2, cidr=None)
        with pytest.raises(IntegrityError, match="one_source"):
            self.add(world, "tcp", 1, 2, own=True)

    def test_security_16_no_other_family(self, world: World) -> None:
        with pytest.raises(IntegrityError, match="ipv4"):
            self.add(world, "tcp", 1, 2, cidr="::/0")

    @pytest.mark.parametrize("cidr", ["10.0.0.1/8", "10.0.0.0/33", "evil", ""])
    def test_security_16_no_crooked_network(self, world: World, cidr: str) -> None:
        with pytest.raises(DataError):
            self.add(world, "tcp", 1, 2, cidr=cidr)

    def test_no_rule_twice(self, world: World) -> None:
        self.add(world, None, None, None)
        with pytest.raises(IntegrityError, match="uq_security_group_rules"):
            self.add(world, None, None, None)


class TestServers:
    @pytest.mark.parametrize(
        ("change", "constraint"),
        [
            ("vm_state = 'LOST'", "vm_state"),
            ("vm_state = 'DELETED'", "deleted"),
            ("deleted_at = now()", "deleted"),
            ("name_id = NULL", "live_has_name"),
        ],
    )
    def test_a_record_that_contradicts_itself(
        self, world: World, change: str, constraint: str
    ) -> None:
        world.create()
        with pytest.raises(IntegrityError, match=constraint):
            world.rows(f"UPDATE servers SET {change} RETURNING id")

    def test_a_name_in_use_stays(self, world: World) -> None:
        world.create()
        with pytest.raises(IntegrityError):
            world.rows("DELETE FROM server_names RETURNING id")


class TestOthers:
    def test_an_automatic_address_has_a_server(self, world: World) -> None:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 3, public=3)
        with pytest.raises(IntegrityError, match="automatic_has_server"):
            world.rows("UPDATE public_addresses SET automatic = true RETURNING id")

    def test_an_active_image_has_bytes(self, world: World) -> None:
        with pytest.raises(IntegrityError, match="active_has_bytes"):
            world.rows("UPDATE images SET checksum = NULL RETURNING id")

    def test_an_image_is_raw_or_qcow2(self, world: World) -> None:
        with pytest.raises(IntegrityError, match="disk_format"):
            world.rows("UPDATE images SET disk_format = 'vmdk' RETURNING id")

    def test_a_token_is_a_sha256(self, world: World) -> None:
        with pytest.raises(IntegrityError, match="sha256"):
            world.rows(
                "INSERT INTO tokens SELECT 'HPAuth'::bytea, id, now(), now() FROM users LIMIT 1"
                " RETURNING hash"
            )

    def test_an_operation_ends_with_an_outcome(self, world: World) -> None:
        world.create()
        with pytest.raises(IntegrityError, match="outcome"):
            world.rows("UPDATE operations SET finished_at = now() RETURNING id")
