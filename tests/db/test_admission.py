"""Quotas and names are right when many ask at once (R59-R61, R98-R100, R123, R124, D15)."""

from __future__ import annotations

import pytest

from db import quota
from db.queries import server_changes
from db.queries.server_changes import NameInUse
from db.quota import QuotaExceeded
from tests.db.world import TENANT, World, at_once, create


class TestQuota:
    def test_fifty_creates_at_once_against_room_for_twenty_admit_twenty(self, world: World) -> None:
        with world.engine.begin() as conn:
            quota.set_limit(conn, TENANT, world.scope.zone_id, "cores", -1)
        ends = at_once(
            [lambda conn, n=n: create(conn, world.scope, world.image, f"s{n}") for n in range(50)]
        )
        refused = [end for end in ends if isinstance(end, QuotaExceeded)]
        assert sum(isinstance(end, list) for end in ends) == 20
        assert len(refused) == 30
        assert {(end.resource, end.limit, end.used, end.room) for end in refused} == {
            ("instances", 20, 20, 0)
        }
        assert world.one("SELECT count(*) FROM servers") == 20
        assert world.one("SELECT count(*) FROM operations") == 20
        assert world.one("SELECT count(*) FROM server_names") == 20

    def test_creates_of_several_never_go_over_together(self, world: World) -> None:
        ends = at_once(
            [
                lambda conn, n=n: create(
                    conn, world.scope, world.image, f"s{n}", min_count=2, max_count=7
                )
                for n in range(10)
            ]
        )
        counts = sorted(len(end) for end in ends if isinstance(end, list))
        assert sum(counts) == 20
        assert counts == [6, 7, 7]

    def test_fewer_than_asked_are_made_when_the_least_fits(self, world: World) -> None:
        with world.engine.begin() as conn:
            quota.set_limit(conn, TENANT, world.scope.zone_id, "ram", 128 * 3)
        assert len(world.create(min_count=1, max_count=10)) == 3

    def test_too_little_room_makes_nothing(self, world: World) -> None:
        with world.engine.begin() as conn:
            quota.set_limit(conn, TENANT, world.scope.zone_id, "cores", 1)
        with pytest.raises(QuotaExceeded) as refused:
            world.create(min_count=2, max_count=2)
        assert (refused.value.resource, refused.value.requested) == ("cores", 2)
        assert world.one("SELECT count(*) FROM servers") == 0

    def test_unlimited_is_unlimited(self, world: World) -> None:
        with world.engine.begin() as conn:
            for resource in ("instances", "cores", "ram"):
                quota.set_limit(conn, TENANT, world.scope.zone_id, resource, -1)
        assert len(world.create(min_count=100, max_count=100)) == 100

    def test_a_limit_counts_in_its_zone_for_its_tenant(self, world: World) -> None:
        with world.engine.begin() as conn:
            quota.set_limit(conn, TENANT, world.scope.zone_id, "instances", 0)
            assert len(create(conn, world.elsewhere, world.other_image, "there")) == 1
            assert len(create(conn, world.stranger, world.image, "theirs")) == 1
        with pytest.raises(QuotaExceeded):
            world.create()

    def test_deleted_servers_do_not_count(self, world: World) -> None:
        with world.engine.begin() as conn:
            quota.set_limit(conn, TENANT, world.scope.zone_id, "instances", 1)
        (server_id,) = world.create()
        with world.engine.begin() as conn:
            server_changes.forget(conn, server_id)
        assert len(world.create()) == 1

    def test_an_unknown_resource_cannot_be_limited(self, world: World) -> None:
        with world.engine.begin() as conn, pytest.raises(KeyError):
            quota.set_limit(conn, TENANT, world.scope.zone_id, "dreams", 1)


class TestNames:
    def test_one_of_many_gets_the_name(self, world: World) -> None:
        ends = at_once(
            [lambda conn: create(conn, world.scope, world.image, "web") for _ in range(16)]
        )
        assert sum(isinstance(end, list) for end in ends) == 1
        assert sum(isinstance(end, NameInUse) for end in ends) == 15
        assert world.one("SELECT count(*) FROM servers") == 1

    def test_servers_of_one_call_share_it(self, world: World) -> None:
        ids = world.create("web", min_count=3, max_count=3)
        assert world.one("SELECT count(DISTINCT name_id) FROM servers") == 1
        with world.engine.begin() as conn:
            server_changes.forget(conn, ids[0])
        with pytest.raises(NameInUse):
            world.create("web")
        with world.engine.begin() as conn:
            server_changes.forget(conn, ids[1])
            server_changes.forget(conn, ids[2])
        assert len(world.create("web")) == 1

    def test_one_of_many_is_renamed_to_it(self, world: World) -> None:
        ids = [world.create(f"s{n}")[0] for n in range(8)]
        ends = at_once(
            [lambda conn, i=i: server_changes.rename(conn, world.scope, i, "web") for i in ids]
        )
        assert sum(isinstance(end, NameInUse) for end in ends) == 7
        assert world.one("SELECT count(*) FROM servers WHERE name = 'web'") == 1
        assert world.one("SELECT count(*) FROM server_names") == 8

    def test_zones_and_tenants_have_names_of_their_own(self, world: World) -> None:
        world.create("web")
        with world.engine.begin() as conn:
            create(conn, world.elsewhere, world.other_image, "web")
            create(conn, world.stranger, world.image, "web")
        assert world.one("SELECT count(*) FROM servers WHERE name = 'web'") == 3
