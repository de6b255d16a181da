"""Tenants and zones, flavors, networks, pools (R12-R16, R210, R216, R217, R238)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from db.queries import flavors, flavors_admin, networks, pools, tenants, users, zones
from tests.db.world import OTHER_TENANT, OTHER_ZONE, TENANT, World, add_addresses, at_once

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


class TestNetworks:
    def test_sixty_five_thousand_addresses_in_seconds(self, world: World) -> None:
        start = time.monotonic()
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 65_000)
        assert time.monotonic() - start < 20
        with world.engine.begin() as conn:
            found = networks.of_zone(conn, world.scope.zone_id)
        assert found is not None
        assert (found.addresses, found.used, found.first) == (65_000, 0, "10.0.0.10")
        assert world.one("SELECT count(*) FROM fixed_addresses WHERE masklen(address) <> 32") == 0

    def test_the_gateway_is_nobodys(self, world: World) -> None:
        with world.engine.begin() as conn:
            networks.create(
                conn, zone_id=world.scope.zone_id, name="private", cidr="10.0.0.0/24",
                gateway="10.0.0.1", first="10.0.0.1", count=254,
            )  # fmt: skip
            found = networks.of_zone(conn, world.scope.zone_id)
        assert found is not None
        assert (found.addresses, found.first, found.last) == (253, "10.0.0.2", "10.0.0.254")

    def test_a_zone_has_one(self, world: World) -> None:
        def make(name: str, zone_id: int) -> Callable[[Connection], bool]:
            return lambda conn: networks.create(
                conn, zone_id=zone_id, name=name, cidr="10.0.0.0/16", gateway="10.0.0.1",
                first="10.0.0.10", count=10,
            )  # fmt: skip

        ends = at_once([make(f"n{n}", world.scope.zone_id) for n in range(4)])
        assert sorted(map(str, ends)) == ["False"] * 3 + ["True"]
        assert at_once([make("n", world.elsewhere.zone_id)]) == [True]

    def test_the_gateways_mac_is_local_and_no_guests(self) -> None:
        macs = {networks.gateway_mac() for _ in range(50)}
        assert len(macs) == 50
        for mac in macs:
            first = int(mac[:2], 16)
            assert first & 2
            assert not first & 1
            assert not mac.startswith("02:16:")


class TestPools:
    def test_an_address_is_in_one_pool(self, world: World) -> None:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 1, public=100)
        there = world.elsewhere.zone_id
        with pytest.raises(pools.AddressesInUse, match="10 of"), world.engine.begin() as conn:
            pools.create(conn, zone_id=there, name="p", first="15.185.16.91", count=20)
        assert world.one("SELECT count(*) FROM public_addresses") == 100

    def test_counts(self, world: World) -> None:
        (server_id,) = world.create()
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 1, public=10)
            conn.execute(
                text("UPDATE public_addresses SET server_id = :s, automatic = true"
                     " WHERE address = '15.185.16.1'"),
                {"s": server_id},
            )  # fmt: skip
            conn.execute(
                text("UPDATE public_addresses SET tenant_id = :t WHERE address = '15.185.16.2'"),
                {"t": TENANT},
            )
            found = pools.find(conn, world.scope.zone_id, "public")
        assert found is not None
        assert (found.addresses, found.free, found.automatic, found.floating) == (10, 8, 1, 1)


def test_zones_have_names_and_urls_of_their_own(world: World) -> None:
    with world.engine.begin() as conn:
        assert not zones.create(conn, OTHER_ZONE)
        assert not zones.create(conn, "new", compute_url="https://az-2.example.com")
        assert [zone.name for zone in zones.list_all(conn)][1] == OTHER_ZONE
