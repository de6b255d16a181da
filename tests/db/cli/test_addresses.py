"""``undercast network`` and ``undercast pool``: ranges come, go and are told (R15, R216, R217)."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from db.queries import addresses, floating_ips, server_changes
from tests.db.cli.conftest import Undercast
from tests.db.test_claims import servers
from tests.db.world import OTHER_ZONE, ZONE, World, add_addresses, add_host

NETWORK = ("network", "create", "private", "--cidr", "10.0.0.0/16", "--gateway", "10.0.0.1")
POOL = ("pool", "create", "public", "--range", "15.185.16.0/20")


def claim(world: World, server_id: int) -> None:
    with world.engine.begin() as conn:
        addresses.claim(conn, zone_id=world.scope.zone_id, server_id=server_id, quarantine=0)


class TestNetwork:
    def test_create(self, undercast: Undercast) -> None:
        made = undercast.json(
            *NETWORK, "--first", "10.0.0.10", "--count", 4000, "--dns", "10.0.0.2"
        )
        assert (made["addresses"], made["free"], made["used"]) == (4000, 4000, 0)
        assert made["ranges"] == ["10.0.0.10-10.0.15.169"]
        assert "has its network" in undercast.refused(1, *NETWORK)
        assert undercast.json(*NETWORK, "--if-missing") == made
        assert undercast.json("network", "list") == [made]
        assert undercast.json("network", "show", "private") == made
        assert "10.0.0.10-10.0.15.169" in undercast.table("network", "list")

    def test_with_several_ranges(self, undercast: Undercast) -> None:
        ranges = ("--range", "10.0.4.0/30", "--range", "10.0.0.9-10.0.0.11", "--range", "10.0.8.8")
        made = undercast.json(*NETWORK, *ranges)
        assert made["ranges"] == ["10.0.0.9-10.0.0.11", "10.0.4.1-10.0.4.2", "10.0.8.8"]
        assert made["addresses"] == 6

    def test_a_large_network_with_a_small_range(self, undercast: Undercast) -> None:
        words = ("network", "create", "private", "--cidr", "10.0.0.0/8", "--gateway", "10.0.0.1")
        assert "too many at once" in undercast.refused(2, *words)
        made = undercast.json(*words, "--range", "10.200.0.0/24")
        assert made["ranges"] == ["10.200.0.1-10.200.0.254"]

    def test_add_and_remove(self, undercast: Undercast) -> None:
        undercast.json(*NETWORK, "--range", "10.0.0.2-10.0.0.5")
        more = ("network", "add", "private", "--range", "10.0.0.0/29", "--range", "10.0.9.9")
        added = undercast.json(*more)
        assert added["added"] == 2
        assert added["ranges"] == ["10.0.0.2-10.0.0.6", "10.0.9.9"]
        assert undercast.json(*more)["added"] == 0
        assert "0 of 7 addresses added; 7 were there before" in undercast.table(*more)
        removed = undercast.json("network", "remove", "private", "--range", "10.0.0.4/31")
        assert removed["removed"] == 2
        assert removed["ranges"] == ["10.0.0.2-10.0.0.3", "10.0.0.6", "10.0.9.9"]
        del removed["removed"]
        assert undercast.json("network", "show", "private") == removed
        said = undercast.table("network", "remove", "private", "--range", "10.0.0.4/31")
        assert "0 addresses removed" in said

    @pytest.mark.parametrize(
        ("range", "why"),
        [
            ("10.1.0.1", "hosts' addresses of 10.0.0.0/16"), ("10.0.0.0-10.0.0.9", "hosts'"),
            ("10.0.255.255", "hosts'"), ("10.0.0.9-10.0.0.1", "before"), ("ten", "no IPv4"),
            ("10.0.0.1/16", "host bits"),
        ],
    )  # fmt: skip
    def test_ranges_outside(self, undercast: Undercast, range: str, why: str) -> None:
        made = undercast.json(*NETWORK)
        said = undercast.refused(2, "network", "add", "private", "--range", range)
        assert why in " ".join(said.replace("│", " ").split())
        assert undercast.json("network", "list") == [made]

    def test_either_way_of_saying_which(self, undercast: Undercast) -> None:
        said = undercast.refused(2, *NETWORK, "--range", "10.0.0.9", "--count", 3)
        assert "not both" in said
        assert undercast.json("network", "list") == []

    @pytest.mark.parametrize("cidr", ["127.0.0.0/8", "224.0.0.0/8", "169.254.0.0/16", "0.0.0.0/0"])
    def test_no_network_of_addresses_that_mean_something_else(
        self, undercast: Undercast, cidr: str
    ) -> None:
        gateway = cidr.replace("0/", "1/").partition("/")[0]
        words = ("network", "create", "n", "--cidr", cidr, "--gateway", gateway, "--count", 5)
        assert "of no use" in undercast.refused(2, *words)

    def test_no_public_address_within(self, undercast: Undercast) -> None:
        undercast.json("pool", "create", "public", "--range", "10.0.7.0/24")
        said = undercast.refused(1, *NETWORK)
        assert f"254 addresses of {ZONE}'s pool public lie within 10.0.0.0/16" in said
        assert undercast.json("network", "list") == []

    def test_delete(self, undercast: Undercast, world: World) -> None:
        undercast.json(*NETWORK, "--count", 5)
        (server,) = servers(world, 1)
        claim(world, server)
        said = undercast.refused(1, "network", "delete", "private")
        assert "1 address is held in network private: 10.0.0.2 by server 1 server of tenant" in said
        with world.engine.begin() as conn:
            addresses.release(conn, server)
        assert undercast.json("network", "delete", "private")["resting"] == 1
        assert undercast.json("network", "list") == []
        assert undercast.json(*NETWORK)["free"] == 65_533

    @pytest.mark.parametrize(
        "words", [["show"], ["delete"], *([v, "--range", "10.0.0.9"] for v in ("add", "remove"))]
    )
    def test_not_found(self, undercast: Undercast, words: list[str]) -> None:
        undercast.json(*NETWORK)
        verb, *rest = words
        assert "no network nosuch" in undercast.refused(3, "network", verb, "nosuch", *rest)


class TestPool:
    def test_create(self, undercast: Undercast) -> None:
        made = undercast.json(*POOL)
        assert (made["addresses"], made["free"]) == (4094, 4094)
        assert made["ranges"] == ["15.185.16.1-15.185.31.254"]
        assert "undercast pool add" in undercast.refused(1, *POOL)
        assert undercast.json(*POOL, "--if-missing") == made
        said = undercast.refused(1, "pool", "create", "p2", "--range", "15.185.31.250-15.185.32.9")
        assert f"5 of the 16 addresses 15.185.31.250-15.185.32.9 belong to {ZONE}'s pool" in said
        assert undercast.json("pool", "list") == [made]
        assert undercast.json("pool", "show", "public") == made

    def test_add_and_remove(self, undercast: Undercast) -> None:
        undercast.json(*POOL)
        more = ("pool", "add", "public", "--range", "15.185.40.0/24", "--range", "15.185.16.0/24")
        assert undercast.json(*more)["added"] == 254
        removed = undercast.json("pool", "remove", "public", "--range", "15.185.17.0/24")
        assert removed["removed"] == 256
        assert removed["ranges"] == [
            "15.185.16.1-15.185.16.255", "15.185.18.0-15.185.31.254",
            "15.185.40.1-15.185.40.254",
        ]  # fmt: skip

    def test_a_list_shows_few_of_many_ranges(self, undercast: Undercast) -> None:
        ranges = [word for n in range(5) for word in ("--range", f"15.185.{n}.9")]
        undercast.json("pool", "create", "public", *ranges)
        said = undercast.table("pool", "list")
        assert "15.185.0.9, 15.185.1.9, 15.185.2.9 and 2 more" in said
        assert "15.185.4.9" not in said
        assert "15.185.4.9" in undercast.table("pool", "show", "public")

    @pytest.mark.parametrize(
        ("range", "why"),
        [
            ("224.0.0.1", "multicast"), ("239.255.255.255-240.0.0.9", "multicast"),
            ("127.0.0.1", "loopback"), ("126.255.255.255-127.0.0.0", "loopback"),
            ("0.0.0.0", "no address"), ("0.0.0.0-1.0.0.0", "too many"),
            ("169.254.169.254", "link-local"), ("255.255.255.255", "broadcast"),
        ],
    )  # fmt: skip
    def test_addresses_that_mean_something_else(
        self, undercast: Undercast, range: str, why: str
    ) -> None:
        said = undercast.refused(2, "pool", "create", "p", "--range", range)
        assert why in " ".join(said.replace("│", " ").split())
        assert undercast.json("pool", "list") == []

    def test_one_bad_range_spoils_all(self, undercast: Undercast) -> None:
        undercast.json(*NETWORK)
        made = undercast.json(*POOL)
        good = ("--range", "15.185.99.9")
        said = undercast.refused(
            1, "pool", "add", "public", *good, "--range", "10.0.255.0-10.1.0.9"
        )
        assert f"overlaps 10.0.0.0/16, the network private of {ZONE}" in said
        undercast.refused(2, "pool", "add", "public", *good, "--range", "junk")
        assert undercast.json("pool", "list") == [made]

    def test_a_hosts_own_address_is_no_guests(self, undercast: Undercast, world: World) -> None:
        with world.engine.begin() as conn:
            add_host(conn, "cmp1")
        around = "192.168.50.10-192.168.50.12"
        said = undercast.refused(1, "pool", "create", "p", "--range", around)
        assert f"{around} holds 192.168.50.11, the host cmp1's own address" in said
        assert undercast.json("pool", "list") == []

    def test_pools_of_two_zones(self, undercast: Undercast) -> None:
        undercast.json("zone", "create", OTHER_ZONE, "--compute-url", "https://az-2.example.com")
        undercast.json(*POOL)
        elsewhere = ("--zone", OTHER_ZONE)
        said = undercast.refused(1, *POOL, *elsewhere)
        assert "4094 of the 4094" in said
        made = undercast.json("pool", "create", "public", "--range", "15.185.40.0/24", *elsewhere)
        assert undercast.json("pool", "show", "public", *elsewhere) == made
        undercast.refused(1, "pool", "add", "public", "--range", "15.185.40.9")
        assert undercast.json("pool", "delete", "public", *elsewhere) == made
        assert undercast.json("pool", "add", "public", "--range", "15.185.40.9")["added"] == 1

    def test_held_addresses_stay(self, undercast: Undercast, world: World) -> None:
        (server,) = servers(world, 1)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 5, public=20)
            for _ in range(7):
                floating_ips.allocate(conn, world.stranger, pool=None, quarantine=0)
        claim(world, server)
        before = undercast.json("pool", "list")
        said = undercast.refused(
            1, "pool", "remove", "public", "--range", "15.185.16.2-15.185.16.9"
        )
        assert "7 addresses are held in 15.185.16.2-15.185.16.9: 15.185.16.2 by tenant" in said
        assert "15.185.16.6 by tenant tenant of bob; and 2 more. Nothing was changed." in said
        world.rows("UPDATE public_addresses SET server_id = 1 WHERE id = 1 RETURNING 1")
        said = undercast.refused(1, "pool", "delete", "public")
        assert "15.185.16.1 by tenant tenant of bob on server 1 server;" in said
        assert undercast.json("pool", "list") == before
        removed = undercast.json("pool", "remove", "public", "--range", "15.185.16.9/32")
        assert removed["removed"] == 1

    def test_a_deleted_server_on_a_silent_host_holds_its_address(
        self, undercast: Undercast, world: World
    ) -> None:
        (server,) = servers(world, 1)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 5, public=2)
        claim(world, server)
        with world.engine.begin() as conn:
            server_changes.forget(conn, server)
        said = undercast.refused(1, "pool", "delete", "public")
        assert "15.185.16.1 by server 1 server, deleted, whose host has not confirmed it" in said

    def test_what_rests_explains_that_nothing_is_free(
        self, undercast: Undercast, world: World
    ) -> None:
        """Released less than the quarantine ago: neither free nor used (R217)."""
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 1, public=2)
            for _ in range(2):
                made = floating_ips.allocate(conn, world.scope, pool=None, quarantine=0)
                floating_ips.release(conn, world.scope, made.id)
            conn.execute(
                text("UPDATE public_addresses SET released_at = '2012-01-01' WHERE id = 2")
            )
        found = undercast.json("pool", "show", "public")
        assert (found["free"], found["resting"], found["used"]) == (1, 1, 0)
        assert found["rested_at"].endswith("Z")
        said = undercast.table("pool", "show", "public")
        assert "1 (released lately; the first is free at " in said

    @pytest.mark.parametrize(
        "words", [["show"], ["delete"], *([v, "--range", "15.0.0.9"] for v in ("add", "remove"))]
    )
    def test_not_found(self, undercast: Undercast, words: list[str]) -> None:
        undercast.json(*POOL)
        verb, *rest = words
        assert "no pool nosuch" in undercast.refused(3, "pool", verb, "nosuch", *rest)


def test_sixty_five_thousand_addresses(undercast: Undercast) -> None:
    made = undercast.json(*NETWORK, "--first", "10.0.0.10", "--count", 65_000)
    assert (made["addresses"], made["ranges"]) == (65_000, ["10.0.0.10-10.0.253.241"])
    made = undercast.json("pool", "create", "public", "--range", "15.0.0.1-15.0.253.232")
    assert (made["addresses"], made["free"]) == (65_000, 65_000)
    removed = undercast.json("pool", "remove", "public", "--range", "15.0.0.0/16")
    assert (removed["removed"], removed["addresses"]) == (65_000, 0)
