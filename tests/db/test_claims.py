"""Claims of addresses and of hosts, many at once: no doubles, no false refusals (R215-R217)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import IntegrityError

from db.operations.errors import Fatal
from db.queries import addresses, placement, pools
from db.queries.addresses import Exhausted
from tests.db.world import OTHER_ZONE, World, add_addresses, add_host, at_once
from tests.lab import eventually

QUARANTINE = 600.0
RELEASED = {
    "never used": "NULL",
    "rested": "clock_timestamp() - interval '1 day'",
    "resting": "clock_timestamp()",
}


def servers(world: World, count: int) -> list[int]:
    """Servers of a tenant without limits."""
    with world.engine.begin() as conn:
        for resource in ("instances", "cores", "ram"):
            conn.execute(
                text("INSERT INTO quotas SELECT :t, :z, :r, -1 ON CONFLICT DO NOTHING"),
                {"t": world.scope.tenant_id, "z": world.scope.zone_id, "r": resource},
            )
    return world.create(min_count=count, max_count=count)


class TestAddresses:
    def claim(self, world: World, server_id: int, quarantine: float = QUARANTINE) -> Any:
        return lambda conn: addresses.claim(
            conn, zone_id=world.scope.zone_id, server_id=server_id, quarantine=quarantine
        )

    def test_as_many_as_there_are_get_one_each(self, world: World) -> None:
        ids = servers(world, 30)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 30, public=30)
        assert at_once([self.claim(world, i) for i in ids]) == [None] * 30
        for table in ("fixed_addresses", "public_addresses"):
            held = world.rows(f"SELECT server_id FROM {table} WHERE server_id IS NOT NULL")
            assert sorted(row.server_id for row in held) == ids

    def test_what_is_too_many_is_refused(self, world: World) -> None:
        ids = servers(world, 24)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 20)
        ends = at_once([self.claim(world, i) for i in ids])
        assert sum(end is None for end in ends) == 20
        refused = [end for end in ends if end is not None]
        assert [type(end) for end in refused] == [Exhausted] * 4, refused
        assert world.one("SELECT count(server_id) FROM fixed_addresses") == 20

    def test_one_that_waits_in_vain_holds_up_nobody(self, world: World) -> None:
        """It waits for the holders of both addresses; the first is taken, and free of its lock."""
        first, second, late = servers(world, 3)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 2)
        lock = text("SELECT 1 FROM fixed_addresses WHERE server_id = :id FOR UPDATE NOWAIT")

        def claim_late() -> Any:
            with pytest.raises(Fatal), world.engine.begin() as conn:
                self.claim(world, late)(conn)

        def blocks(holder: Connection) -> bool:
            pid = holder.execute(text("SELECT pg_backend_pid()")).scalar()
            blocked = (
                "SELECT count(*) FROM pg_stat_activity WHERE :pid = ANY(pg_blocking_pids(pid))"
            )
            return bool(world.one(blocked, pid=pid))

        with world.engine.connect() as one, world.engine.connect() as other:
            self.claim(world, first)(one)
            self.claim(world, second)(other)
            with ThreadPoolExecutor(1) as pool:
                claiming = pool.submit(claim_late)
                eventually(lambda: blocks(one), "it waits for the first")
                one.commit()
                eventually(lambda: blocks(other), "it waits for the second")
                with world.engine.begin() as third:
                    assert third.execute(lock, {"id": first}).scalar() == 1
                other.commit()
                claiming.result(30)

    def test_too_few_public_ones_take_no_fixed_one(self, world: World) -> None:
        ids = servers(world, 8)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 20, public=5)
        ends = at_once([self.claim(world, i) for i in ids])
        assert sum(isinstance(end, Fatal) for end in ends) == 3
        assert world.one("SELECT count(server_id) FROM fixed_addresses") == 5
        assert world.one("SELECT count(server_id) FROM public_addresses") == 5

    def test_twice_is_once(self, world: World) -> None:
        (server_id,) = servers(world, 1)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 5, public=5)
            self.claim(world, server_id)(conn)
            self.claim(world, server_id)(conn)
        assert world.one("SELECT count(server_id) FROM fixed_addresses") == 1
        assert world.one("SELECT count(server_id) FROM public_addresses WHERE automatic") == 1

    def test_a_released_one_rests(self, world: World) -> None:
        first, second = servers(world, 2)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 1)
            self.claim(world, first)(conn)
            addresses.release(conn, first)
        with pytest.raises(Fatal), world.engine.begin() as conn:
            self.claim(world, second)(conn)
        with world.engine.begin() as conn:
            self.claim(world, second, quarantine=0)(conn)

    def test_never_used_ones_first_then_longest_released(self, world: World) -> None:
        ids = servers(world, 4)

        def took(conn: Connection, server_id: int) -> str:
            self.claim(world, server_id, quarantine=0)(conn)
            row = conn.execute(
                text("SELECT host(address) FROM fixed_addresses WHERE server_id = :id"),
                {"id": server_id},
            ).one()
            return str(row[0])

        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 3)
            assert [took(conn, i) for i in ids[:2]] == ["10.0.0.10", "10.0.0.11"]
            addresses.release(conn, ids[1])
            addresses.release(conn, ids[0])
        with world.engine.begin() as conn:
            assert took(conn, ids[2]) == "10.0.0.12"
            assert took(conn, ids[3]) == "10.0.0.11"

    def test_another_zones_are_not_taken(self, world: World) -> None:
        (server_id,) = servers(world, 1)
        with world.engine.begin() as conn:
            add_addresses(conn, world.elsewhere.zone_id, 5, public=5)
        with pytest.raises(Fatal), world.engine.begin() as conn:
            self.claim(world, server_id)(conn)

    def test_a_server_has_one_fixed_address(self, world: World) -> None:
        (server_id,) = servers(world, 1)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 5)
        with pytest.raises(IntegrityError, match="uq_fixed_addresses_server_id"):
            world.rows("UPDATE fixed_addresses SET server_id = :id RETURNING id", id=server_id)


class TestManyAddresses:
    """65,000 of a kind: a claim costs the same, and many at once neither wait nor collide."""

    def fill(self, world: World, released_at: str = "NULL") -> None:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 0, public=0)
            pools.create(conn, zone_id=world.scope.zone_id, name="public", ranges=[])
            for table, owner, first in (
                ("fixed_addresses", "network_id", "10.0.0.10"),
                ("public_addresses", "pool_id", "15.0.0.1"),
            ):
                conn.execute(
                    text(
                        f"INSERT INTO {table} ({owner}, address, released_at)"
                        f" SELECT 1, inet '{first}' + n, {released_at}"
                        " FROM generate_series(1, :count) AS n"
                    ),
                    {"count": 65_000},
                )

    def test_two_hundred_at_once(self, world: World) -> None:
        """Each gets one of each kind: no double, no refusal, no deadlock, no lock timeout."""
        ids = servers(world, 200)
        self.fill(world)
        claims = [
            lambda conn, i=i: addresses.claim(
                conn, zone_id=world.scope.zone_id, server_id=i, quarantine=QUARANTINE
            )
            for i in ids
        ]
        assert at_once(claims) == [None] * 200
        for table in ("fixed_addresses", "public_addresses"):
            held = world.rows(f"SELECT server_id, id FROM {table} WHERE server_id IS NOT NULL")
            assert sorted(row.server_id for row in held) == ids
            assert max(row.id for row in held) <= 400  # from the front of the line

    def test_two_hundred_for_the_last_hundred_and_fifty(self, world: World) -> None:
        ids = servers(world, 200)
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 200, public=150)
        claims = [
            lambda conn, i=i: addresses.claim(
                conn, zone_id=world.scope.zone_id, server_id=i, quarantine=QUARANTINE
            )
            for i in ids
        ]
        ends = at_once(claims)
        assert sum(end is None for end in ends) == 150
        assert {type(end) for end in ends if end is not None} == {Exhausted}
        assert world.one("SELECT count(server_id) FROM fixed_addresses") == 150
        assert world.one("SELECT count(server_id) FROM public_addresses") == 150

    @pytest.mark.parametrize("state", RELEASED)
    def test_a_claim_reads_a_few_rows_whatever_the_state(self, world: World, state: str) -> None:
        """security.md, row 19: the work of each of its statements is bounded."""
        (server_id,) = servers(world, 1)
        self.fill(world, RELEASED[state])
        with world.engine.connect() as conn:
            conn.execute(text("ANALYZE fixed_addresses, public_addresses"))
            conn.commit()
            for sent, values in sent_by(conn, world, server_id):
                found = conn.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sent}", values)
                assert most_rows(found.scalar_one()[0]["Plan"]) <= 2, sent


def sent_by(conn: Connection, world: World, server_id: int) -> list[tuple[str, Any]]:
    """The statements on addresses of the claims of a server and of a tenant, rolled back."""
    sent: list[tuple[str, Any]] = []

    def note(conn: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if "_addresses" in statement:
            sent.append((statement, parameters))

    event.listen(conn, "before_cursor_execute", note)
    zone_id = world.scope.zone_id
    with suppress(Exhausted):
        addresses.claim(conn, zone_id=zone_id, server_id=server_id, quarantine=QUARANTINE)
    addresses.claim_floating(
        conn, zone_id=zone_id, tenant_id=world.scope.tenant_id, pool="public", quarantine=QUARANTINE
    )
    event.remove(conn, "before_cursor_execute", note)
    conn.rollback()
    assert len(sent) >= 4
    return sent


def most_rows(plan: dict[str, Any]) -> float:
    """The most rows that any node of a plan read, those included that it threw away."""
    own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return max([own, *map(most_rows, plan.get("Plans", []))])


class TestHosts:
    def claim(self, server_id: int, host: int) -> Any:
        def job(conn: Connection) -> bool:
            return placement.claim(conn, placement.needs(conn, server_id), host)

        return job

    def balanced(self, world: World) -> bool:
        return not world.rows("""
            SELECT h.id FROM hosts h LEFT JOIN allocations a ON a.host_id = h.id GROUP BY h.id
            HAVING (h.used_vcpus, h.used_ram_mb, h.used_disk_gb) <>
                   (coalesce(sum(a.vcpus), 0), coalesce(sum(a.ram_mb), 0),
                    coalesce(sum(a.disk_gb), 0))
        """)

    @pytest.mark.parametrize(
        "size", [{"vcpus": 10}, {"ram_mb": 1280}, {"disk_gb": 10}], ids=["vcpu", "ram", "disk"]
    )
    def test_no_more_than_fit_are_claimed_at_once(self, world: World, size: dict[str, int]) -> None:
        ids = servers(world, 30)
        room: dict[str, Any] = {"vcpus": 100, "ram_mb": 100_000, "disk_gb": 1000, **size}
        with world.engine.begin() as conn:
            host = add_host(conn, "cmp1", **room)
        ends = at_once([self.claim(i, host) for i in ids])
        assert (ends.count(True), ends.count(False)) == (10, 20)
        assert self.balanced(world)
        used = world.rows("SELECT used_vcpus, used_ram_mb, used_disk_gb FROM hosts")[0]
        assert tuple(used) == (10, 1280, 10)

    def test_who_chose_a_host_for_its_room_learns_that_others_were_quicker(
        self, world: World
    ) -> None:
        one, other = servers(world, 2)
        with world.engine.begin() as conn:
            host = add_host(conn, "cmp1")
            assert placement.claim(conn, placement.needs(conn, one), host, seen_ram_mb=0)
            late = placement.needs(conn, other)
            assert not placement.claim(conn, late, host, seen_ram_mb=0)
            assert placement.claim(conn, late, host, seen_ram_mb=128)
        assert self.balanced(world)

    def test_one_that_waited_in_vain_holds_up_nobody(self, world: World) -> None:
        """Others claim of the host while it tries the next one."""
        one, other = servers(world, 2)
        with world.engine.begin() as conn:
            host = add_host(conn, "cmp1")
        lock = text("SELECT 1 FROM hosts WHERE id = :id FOR UPDATE NOWAIT")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

        def claim(conn: Connection, server_id: int) -> bool:
            wanted = placement.needs(conn, server_id)
            return placement.claim(conn, wanted, host, seen_ram_mb=0)

        with world.engine.connect() as first, world.engine.connect() as late:
            assert claim(first, one)
            with ThreadPoolExecutor(1) as pool:
                claiming = pool.submit(claim, late, other)
                eventually(lambda: bool(world.one(waiting)), "it waits for the first")
                first.commit()
                assert not claiming.result(30)
            with world.engine.begin() as third:
                assert third.execute(lock, {"id": host}).scalar() == 1
        assert self.balanced(world)

    def test_release_gives_all_back_once(self, world: World) -> None:
        (server_id,) = servers(world, 1)
        with world.engine.begin() as conn:
            assert self.claim(server_id, add_host(conn, "cmp1"))(conn)
        with world.engine.begin() as conn:
            placement.release(conn, server_id)
            placement.release(conn, server_id)
        assert world.one("SELECT used_ram_mb FROM hosts") == 0
        assert self.balanced(world)

    def test_a_shrunken_host_keeps_what_it_has_and_takes_no_more(self, world: World) -> None:
        first, second = servers(world, 2)
        with world.engine.begin() as conn:
            host = add_host(conn, "cmp1")
            assert self.claim(first, host)(conn)
            add_host(conn, "cmp1", vcpus=1)
        with world.engine.begin() as conn:
            assert not self.claim(second, host)(conn)
        assert self.balanced(world)

    def test_each_filter_refuses_and_is_counted(self, world: World) -> None:
        (server_id,) = servers(world, 1)
        with world.engine.begin() as conn:
            add_host(conn, "elsewhere", OTHER_ZONE)
            off, quiet = add_host(conn, "off"), add_host(conn, "quiet")
            add_host(conn, "ram", ram_mb=127)
            add_host(conn, "vcpu", vcpus=0)
            add_host(conn, "disk", disk_gb=0)
            tried, fits = add_host(conn, "tried"), add_host(conn, "fits")
            conn.execute(text("UPDATE hosts SET enabled = false WHERE id = :id"), {"id": off})
            conn.execute(
                text("UPDATE host_heartbeats SET at = at - interval '1 h' WHERE host_id = :id"),
                {"id": quiet},
            )
            wanted = placement.needs(conn, server_id)
            found = placement.candidates(conn, wanted, excluded=[tried], silent=15)
            counts = placement.refusals(conn, wanted, excluded=[tried], silent=15)
        assert [host.id for host in found] == [fits]
        assert counts == dict.fromkeys(placement.FILTERS, 1)

    def test_used_never_falls_below_nothing(self, world: World) -> None:
        with world.engine.begin() as conn:
            add_host(conn, "cmp1")
        with pytest.raises(IntegrityError, match="ck_hosts_used"):
            world.rows("UPDATE hosts SET used_ram_mb = -1 RETURNING id")
