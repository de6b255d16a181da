"""Tenants and zones, flavors (R12-R16, R210, R238)."""

from __future__ import annotations

import re

from db.queries import flavors, flavors_admin, tenants, users, zones
from tests.db.world import OTHER_TENANT, OTHER_ZONE, TENANT, World, at_once

RULES = """
    SELECT r.protocol, r.from_port, r.to_port, r.cidr::text AS cidr,
           r.source_group_id = r.group_id AS own
    FROM security_group_rules r JOIN security_groups g ON g.id = r.group_id
    WHERE g.tenant_id = :tenant AND g.zone_id = :zone AND g.name = 'default' ORDER BY r.id
"""
SEVEN = [
    ("icmp", -1, -1, "0.0.0.0/0", None),
    ("tcp", 22, 22, "0.0.0.0/0", None),
    ("tcp", 80, 80, "0.0.0.0/0", None),
    ("tcp", 443, 443, "0.0.0.0/0", None),
    ("icmp", -1, -1, None, True),
    ("tcp", 1, 65535, None, True),
    ("udp", 1, 65535, None, True),
]


class TestActivation:
    def test_default_has_seven_rules_in_order_in_each_zone(self, world: World) -> None:
        for scope in (world.scope, world.elsewhere, world.stranger):
            rows = world.rows(RULES, tenant=scope.tenant_id, zone=scope.zone_id)
            assert [tuple(row) for row in rows] == SEVEN

    def test_a_zone_that_comes_later_has_it_too(self, world: World) -> None:
        with world.engine.begin() as conn:
            assert zones.create(conn, "az-3")
            zone = zones.find(conn, "az-3")
        assert zone is not None
        for tenant in (TENANT, OTHER_TENANT):
            rows = world.rows(RULES, tenant=tenant, zone=zone.id)
            assert [tuple(row) for row in rows] == SEVEN

    def test_again_changes_nothing(self, world: World) -> None:
        world.rows("DELETE FROM security_group_rules WHERE protocol = 'udp' RETURNING id")
        with world.engine.begin() as conn:
            tenants.activate(conn, TENANT)
        rows = world.rows(RULES, tenant=TENANT, zone=world.scope.zone_id)
        assert [tuple(row) for row in rows] == SEVEN[:-1]
        assert world.one("SELECT count(*) FROM security_groups") == 4


class TestTenants:
    def test_ids_are_fourteen_digits(self) -> None:
        ids = {tenants.new_id() for _ in range(100)}
        assert len(ids) == 100
        assert all(re.fullmatch(r"[1-9]\d{13}", one) for one in ids)

    def test_names_and_ids_are_taken_once(self, world: World) -> None:
        with world.engine.begin() as conn:
            assert not tenants.create(conn, "tenant of ann")
            assert not tenants.create(conn, "another", id=TENANT)
        ends = at_once([lambda conn: tenants.create(conn, "new")] * 6)
        assert sorted(map(str, ends)) == ["False"] * 5 + ["True"]

    def test_an_id_comes_before_a_name(self, world: World) -> None:
        with world.engine.begin() as conn:
            tenants.create(conn, TENANT, id="5")
            found = tenants.find(conn, TENANT)
            assert found is not None
            assert found.name == "tenant of ann"
            assert tenants.find(conn, "nobody") is None

    def test_a_user_is_in_none_one_or_several(self, world: World) -> None:
        with world.engine.begin() as conn:
            assert users.create(conn, "eve", "hash")
            assert not users.create(conn, "eve", "hash")
            eve = users.find(conn, "eve")
            assert eve is not None
            assert eve.roles == []
            for tenant in (TENANT, OTHER_TENANT, TENANT):
                users.join(conn, eve.id, tenant, "member")
            eve = users.find(conn, "eve")
            assert eve is not None
            assert [role["tenant_id"] for role in eve.roles] == [TENANT, OTHER_TENANT]


class TestFlavors:
    def test_the_six_of_the_reference(self, world: World) -> None:
        with world.engine.begin() as conn:
            assert len(flavors_admin.create_defaults(conn)) == 6
            assert flavors_admin.create_defaults(conn) == []
            found = [
                (f.id, f.name, f.ram_mb, f.disk_gb, f.vcpus)
                for f in flavors.list_all(conn, least_ram_mb=1024)
            ]
        assert found == [
            (100, "standard.xsmall", 1024, 30, 1),
            (101, "standard.small", 2048, 60, 2),
            (102, "standard.medium", 4096, 120, 2),
            (103, "standard.large", 8192, 240, 4),
            (104, "standard.xlarge", 16384, 480, 4),
            (105, "standard.2xlarge", 32768, 960, 8),
        ]

    def test_a_retired_ones_id_is_not_given_again_but_its_name_is(self, world: World) -> None:
        with world.engine.begin() as conn:
            assert flavors_admin.delete(conn, 1)
            assert not flavors_admin.delete(conn, 1)
            assert flavors.find(conn, 1) is None
            assert not flavors_admin.create(conn, "other", id=1, vcpus=1, ram_mb=1)
            assert flavors_admin.create(conn, "tiny", vcpus=1, ram_mb=1)
            found = flavors_admin.find(conn, "tiny")
        assert found is not None
        assert found.id == 2


def test_zones_have_names_and_urls_of_their_own(world: World) -> None:
    with world.engine.begin() as conn:
        assert not zones.create(conn, OTHER_ZONE)
        assert not zones.create(conn, "new", compute_url="https://az-2.example.com")
        assert [zone.name for zone in zones.list_all(conn)][1] == OTHER_ZONE
