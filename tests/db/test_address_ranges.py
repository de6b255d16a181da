"""Ranges of networks and pools: added, removed, counted, while others claim (R15, R216, R217)."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest
from sqlalchemy import Connection, text

from db.operations.errors import Fatal
from db.queries import address_ranges, addresses, floating_ips, networks, pools
from db.queries.address_ranges import FIXED, PUBLIC, Range, StillHeld
from db.queries.networks import NetworkSummary
from db.queries.pools import PoolSummary
from tests.db.test_claims import servers
from tests.db.world import OTHER_ZONE, ZONE, World, add_addresses, at_once

QUARANTINE = 600.0


def span(first: str, count: int = 1) -> Range:
    return Range(IPv4Address(first), count)


def network(world: World) -> NetworkSummary:
    with world.engine.begin() as conn:
        found = networks.of_zone(conn, world.scope.zone_id, quarantine=QUARANTINE)
    assert found is not None
    return found


def pool(world: World) -> PoolSummary:
    with world.engine.begin() as conn:
        found = pools.find(conn, world.scope.zone_id, "public", quarantine=QUARANTINE)
    assert found is not None
    return found


def claim(world: World, server_id: int) -> Callable[[Connection], Any]:
    return lambda conn: addresses.claim(
        conn, zone_id=world.scope.zone_id, server_id=server_id, quarantine=QUARANTINE
    )


class TestNetworks:
    def test_sixty_five_thousand_addresses(self, world: World) -> None:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 65_000)
        found = network(world)
        assert (found.addresses, found.free, found.used) == (65_000, 65_000, 0)
        assert found.ranges == ["10.0.0.10-10.0.253.241"]
        assert world.one("SELECT count(*) FROM fixed_addresses WHERE masklen(address) <> 32") == 0

    def test_the_gateway_is_nobodys(self, world: World) -> None:
        with world.engine.begin() as conn:
            networks.create(
                conn, zone_id=world.scope.zone_id, name="private", cidr="10.0.0.0/24",
                gateway="10.0.0.100", ranges=[span("10.0.0.1", 254)],
            )  # fmt: skip
        found = network(world)
        assert found.addresses == 253
        assert found.ranges == ["10.0.0.1-10.0.0.99", "10.0.0.101-10.0.0.254"]
        with world.engine.begin() as conn:
            assert networks.add(conn, found, span("10.0.0.99", 3)) == 0

    def test_a_zone_has_one(self, world: World) -> None:
        def make(name: str, zone_id: int) -> Callable[[Connection], bool]:
            return lambda conn: networks.create(
                conn, zone_id=zone_id, name=name, cidr="10.0.0.0/16", gateway="10.0.0.1",
                ranges=[span("10.0.0.10", 10)],
            )  # fmt: skip

        ends = at_once([make(f"n{n}", world.scope.zone_id) for n in range(4)])
        assert sorted(map(str, ends)) == ["False"] * 3 + ["True"]
        assert at_once([make("n", world.elsewhere.zone_id)]) == [True]

    def test_no_public_address_lies_within(self, world: World) -> None:
        with world.engine.begin() as conn:
            pools.create(
                conn, zone_id=world.elsewhere.zone_id, name="p", ranges=[span("10.0.7.1", 9)]
            )
        with (
            pytest.raises(networks.Overlaps, match=f"9 addresses of {OTHER_ZONE}'s pool p"),
            world.engine.begin() as conn,
        ):
            add_addresses(conn, world.scope.zone_id, 5)
        assert world.one("SELECT count(*) FROM networks") == 0

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
        with (
            pytest.raises(pools.Overlaps, match=f"10 of the 20 .* {ZONE}'s pool public"),
            world.engine.begin() as conn,
        ):
            pools.create(conn, zone_id=there, name="p", ranges=[span("15.185.16.91", 20)])
        assert world.one("SELECT count(*) FROM public_addresses") == 100
        assert world.one("SELECT count(*) FROM public_pools") == 1

    @pytest.mark.parametrize(
        ("first", "count"), [("10.0.255.255", 1), ("9.255.255.0", 257), ("9.0.0.0", 2**25)]
    )
    def test_no_address_is_a_networks(self, world: World, first: str, count: int) -> None:
        with world.engine.begin() as conn:
            add_addresses(conn, world.elsewhere.zone_id, 1)
        with (
            pytest.raises(pools.Overlaps, match=rf"10\.0\.0\.0/16.* of {OTHER_ZONE}"),
            world.engine.begin() as conn,
        ):
            pools.create(conn, zone_id=world.scope.zone_id, name="p", ranges=[span(first, count)])
        assert world.one("SELECT count(*) FROM public_pools") == 0

    def test_those_beside_a_network_are_not(self, world: World) -> None:
        beside = [span("9.255.255.255"), span("10.1.0.0")]
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 1)
            pools.create(conn, zone_id=world.scope.zone_id, name="public", ranges=beside)
        assert pool(world).ranges == ["9.255.255.255", "10.1.0.0"]

    def test_of_two_who_want_the_same_addresses_one_has_them(self, world: World) -> None:
        def make(name: str, zone_id: int) -> Callable[[Connection], bool]:
            return lambda conn: pools.create(
                conn, zone_id=zone_id, name=name, ranges=[span("15.185.16.1", 50)]
            )

        jobs = [make(f"p{n}", zone) for n in range(3) for zone in (1, 2)]
        ends = at_once(jobs)
        assert sum(end is True for end in ends) == 1
        assert sum(isinstance(end, pools.Overlaps) for end in ends) == 5
        assert world.one("SELECT count(DISTINCT pool_id) FROM public_addresses") == 1
        assert world.one("SELECT count(*) FROM public_pools") == 1

    def test_a_network_and_a_pool_made_at_once_do_not_overlap(self, world: World) -> None:
        zone_id = world.scope.zone_id
        ends = at_once(
            [
                lambda conn: add_addresses(conn, zone_id, 5),
                lambda conn: pools.create(
                    conn, zone_id=zone_id, name="p", ranges=[span("10.0.9.0", 5)]
                ),
            ]
        )
        assert sum(isinstance(end, pools.Overlaps | networks.Overlaps) for end in ends) == 1, ends


class TestStates:
    def test_who_has_them(self, world: World) -> None:
        """Resting ones are neither free nor used, until their quarantine is over."""
        one, other = servers(world, 2)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 10, public=10)
            claim(world, one)(conn)
            claim(world, other)(conn)
            given = floating_ips.allocate(conn, world.scope, pool=None, quarantine=QUARANTINE)
            gone = floating_ips.allocate(conn, world.scope, pool=None, quarantine=QUARANTINE)
            conn.execute(text("UPDATE public_addresses SET server_id = :s WHERE id = :id"),
                         {"s": one, "id": given.id})  # fmt: skip
            floating_ips.release(conn, world.scope, gone.id)
            addresses.release(conn, other)
        fixed, public = network(world), pool(world)
        assert (fixed.addresses, fixed.free, fixed.resting, fixed.used) == (10, 8, 1, 1)
        assert (public.addresses, public.free, public.resting, public.used) == (10, 6, 2, 2)
        assert (public.automatic, public.floating) == (1, 1)
        for table, seen in (("fixed_addresses", fixed), ("public_addresses", public)):
            rested = world.one(
                f"SELECT min(released_at) + interval '{QUARANTINE} s' FROM {table}"
                " WHERE server_id IS NULL"
            )
            assert seen.rested_at == rested
            world.rows(f"UPDATE {table} SET released_at = released_at - interval '1 h' RETURNING 1")
        assert (network(world).free, network(world).resting, network(world).rested_at) == (
            9,
            0,
            None,
        )
        assert (pool(world).free, pool(world).resting) == (8, 0)

    def test_gaps_are_shown(self, world: World) -> None:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 1, public=1)
            for first, count in (("15.185.17.250", 10), ("15.185.9.1", 1), ("15.185.16.2", 3)):
                assert pools.add(conn, 1, span(first, count)) == count
        assert pool(world).ranges == [
            "15.185.9.1", "15.185.16.1-15.185.16.4", "15.185.17.250-15.185.18.3",
        ]  # fmt: skip

    def test_one_without_addresses(self, world: World) -> None:
        with world.engine.begin() as conn:
            pools.create(conn, zone_id=world.scope.zone_id, name="public", ranges=[])
        empty = pool(world)
        assert (empty.addresses, empty.free, empty.used, empty.ranges) == (0, 0, 0, [])


class TestChanges:
    def test_what_is_there_already_stays_as_it_is(self, world: World) -> None:
        (server_id,) = servers(world, 1)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 4, public=4)
            claim(world, server_id)(conn)
            assert pools.add(conn, 1, span("15.185.16.1", 10)) == 6
            assert pools.add(conn, 1, span("15.185.16.1", 10)) == 0
        assert (pool(world).addresses, pool(world).automatic) == (10, 1)

    def test_addresses_that_nobody_holds_are_removed(self, world: World) -> None:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 10, public=10)
            assert address_ranges.remove(conn, PUBLIC, 1, span("15.185.16.4", 3)) == 3
            assert address_ranges.remove(conn, PUBLIC, 1, span("15.185.16.4", 4)) == 1
            assert address_ranges.remove(conn, FIXED, 1, span("10.0.0.0", 12)) == 2
        assert pool(world).ranges == ["15.185.16.1-15.185.16.3", "15.185.16.8-15.185.16.10"]
        assert network(world).ranges == ["10.0.0.12-10.0.0.19"]

    def test_held_ones_are_not_and_their_holders_are_named(self, world: World) -> None:
        (server_id,) = servers(world, 1)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 4, public=9)
            claim(world, server_id)(conn)
            for _ in range(6):
                floating_ips.allocate(conn, world.stranger, pool=None, quarantine=0)
        with pytest.raises(StillHeld) as caught, world.engine.begin() as conn:
            address_ranges.remove(conn, PUBLIC, 1, span("15.185.0.0", 65_536))
        automatic, floating, *rest = caught.value.holders
        assert (caught.value.held, len(rest)) == (7, 3)
        assert (automatic.address, automatic.server_id, automatic.server, automatic.tenant) == (
            "15.185.16.1", server_id, "server", "tenant of ann",
        )  # fmt: skip
        assert not automatic.floating
        assert (floating.server_id, floating.tenant, floating.floating) == (
            None, "tenant of bob", True,
        )  # fmt: skip
        assert pool(world).addresses == 9

    def test_one_that_is_used_is_not_deleted(self, world: World) -> None:
        (server_id,) = servers(world, 1)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 4, public=4)
            claim(world, server_id)(conn)
        for kind in (FIXED, PUBLIC):
            with pytest.raises(StillHeld), world.engine.begin() as conn:
                address_ranges.delete(conn, kind, 1)
        assert (network(world).addresses, pool(world).addresses) == (4, 4)
        with world.engine.begin() as conn:
            addresses.release(conn, server_id)
            address_ranges.delete(conn, FIXED, 1)
            address_ranges.delete(conn, PUBLIC, 1)
        for table in ("networks", "fixed_addresses", "public_pools", "public_addresses"):
            assert world.one(f"SELECT count(*) FROM {table}") == 0, table

    def test_claims_while_ranges_come_and_go(self, world: World) -> None:
        """A claimed address is not removed, a removed one is not claimed, and nobody waits long."""
        ids = servers(world, 40)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 60, public=20)

        def take_away(conn: Connection) -> int:
            return address_ranges.remove(conn, PUBLIC, 1, span("15.185.16.1", 20))

        def give(number: int) -> Callable[[Connection], int]:
            return lambda conn: pools.add(conn, 1, span(f"15.185.{17 + number}.1", 20))

        ends = at_once([*(claim(world, i) for i in ids), take_away, *(give(n) for n in range(3))])
        for end in ends[:40]:
            assert end is None or isinstance(end, Fatal), end
        removed = ends[40]
        assert removed == 20 or isinstance(removed, StillHeld)
        assert ends[41:] == [20] * 3
        claimed = sum(end is None for end in ends[:40])
        found = pool(world)
        assert found.automatic == claimed == network(world).used
        assert found.addresses == (60 if removed == 20 else 80)
