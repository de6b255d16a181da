"""Lists of servers: filters, changes, expressions (R50-R55, R139, R140, D11, D52, D53, D68)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from db import quota
from db.queries import server_changes, server_lists
from db.queries.server_lists import BadExpression, CostlyExpression, Wanted
from tests.db.test_reads import statements
from tests.db.world import World, add_addresses

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def names(world: World, **wanted: Any) -> list[str]:
    """Names of the servers wanted, which both lists agree on."""
    with world.engine.begin() as conn:
        brief = server_lists.list_brief(conn, world.scope, Wanted(**wanted))
        detail = server_lists.list_detail(conn, world.scope, Wanted(**wanted))
    assert brief is not None
    assert detail is not None
    assert [s.id for s in brief] == [s.id for s in detail]
    return [server.name for server in brief]


def forget(world: World, server_id: int) -> None:
    with world.engine.begin() as conn:
        server_changes.forget(conn, server_id)


class TestFilters:
    @pytest.fixture
    def three(self, world: World) -> list[int]:
        made = [world.create(name)[0] for name in ("web-1", "web.2", "db")]
        world.rows("UPDATE servers SET vm_state = 'ACTIVE', task_state = NULL WHERE name = 'web-1'"
                   " RETURNING id")  # fmt: skip
        world.rows("UPDATE servers SET vm_state = 'ACTIVE', task_state = 'rebuilding'"
                   " WHERE name = 'db' RETURNING id")  # fmt: skip
        return made

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({}, ["db", "web.2", "web-1"]),
            ({"image_id": 1}, ["db", "web.2", "web-1"]),
            ({"image_id": 99}, []),
            ({"image_id": -1}, []),
            ({"flavor_id": 1}, ["db", "web.2", "web-1"]),
            ({"flavor_id": 2}, []),
            ({"name_prefix": "web"}, ["web.2", "web-1"]),
            ({"name_prefix": "eb"}, []),
            ({"name_prefix": "w%"}, []),
            ({"name_expression": "web.2"}, ["web.2"]),
            ({"name_expression": "web.[12]"}, ["web.2", "web-1"]),
            ({"name_expression": "eb."}, []),
            ({"name_expression": "(we)?b"}, ["web.2", "web-1"]),
            ({"name_expression": "x|d"}, ["db"]),
            ({"name_expression": "b|web-"}, ["web-1"]),
            ({"name_expression": r"\w+$"}, ["db"]),
            ({"name_expression": "(?i)DB"}, ["db"]),
            ({"name_expression": "x*"}, ["db", "web.2", "web-1"]),
            ({"vm_state": "ACTIVE"}, ["db", "web-1"]),
            ({"vm_state": "ACTIVE", "task_state": "rebuilding"}, ["db"]),
            ({"vm_state": "DELETED"}, []),
            ({"vm_state": "ACTIVE", "name_prefix": "web", "flavor_id": 1}, ["web-1"]),
        ],
    )
    def test_all_must_match(
        self, world: World, three: list[int], wanted: dict[str, Any], found: list[str]
    ) -> None:
        assert names(world, **wanted) == found

    def test_a_marker_is_in_the_filtered_list_or_nowhere(
        self, world: World, three: list[int]
    ) -> None:
        """D11: also when nothing follows it (R49)."""
        first, _, last = three
        wanted = Wanted(vm_state="ACTIVE")
        with world.engine.begin() as conn:
            for marker, found in ((last, [first]), (first, []), (three[1], None), (99, None)):
                page = server_lists.list_brief(conn, world.scope, wanted, marker=marker)
                assert (page if page is None else [s.id for s in page]) == found

    def test_nothing_of_others(self, world: World, three: list[int]) -> None:
        wanted = Wanted(name_expression=".*", changes_since=LONG_AGO)
        for scope in (world.stranger, world.elsewhere):
            with world.engine.begin() as conn:
                assert server_lists.list_brief(conn, scope, wanted) == []
            with world.engine.begin() as conn:
                assert server_lists.list_brief(conn, scope, wanted, marker=three[0]) is None


class TestChanges:
    def test_deleted_ones_appear_with_their_last_data(self, world: World) -> None:
        """R53, D52; in the order of creation all the same (D68)."""
        gone = world.create("gone", metadata={"a": "1"})[0]
        kept = world.create("kept")[0]
        forget(world, gone)
        assert names(world) == ["kept"]
        assert names(world, changes_since=LONG_AGO) == ["kept", "gone"]
        assert names(world, changes_since=LONG_AGO, vm_state="DELETED") == ["gone"]
        with world.engine.begin() as conn:
            wanted = Wanted(changes_since=LONG_AGO)
            (shown,) = server_lists.list_detail(conn, world.scope, wanted, marker=kept) or []
            assert (shown.id, shown.vm_state, shown.metadata) == (gone, "DELETED", {"a": "1"})
            assert server_lists.list_detail(conn, world.scope, wanted, marker=gone) == []
            assert server_lists.list_detail(conn, world.scope, marker=gone) is None

    def test_strictly_later(self, world: World) -> None:
        """R51, R52: updated > changes-since."""
        world.create()
        at = world.one("SELECT updated_at FROM servers")
        assert names(world, changes_since=at) == []
        assert names(world, changes_since=at - timedelta(microseconds=1)) == ["server"]


class TestExpressions:
    """Whatever a client sends, the database goes on after a bounded time (security: row 19)."""

    @pytest.fixture
    def long_name(self, world: World) -> str:
        name = "a" * 254 + "!"
        world.create(name)
        return name

    @pytest.mark.parametrize(
        "expression",
        ["(a+)+$", "(a*)*b", "(a|aa)+$", "(x+x+)+y", "(a?){200}a{200}b", "(.*a){20}b",
         "((?=a*)a*){30}b", r"(a*)*\1b", "(" * 20 + "a" + "*)" * 20],
    )  # fmt: skip
    def test_what_backtracks_elsewhere_is_answered_here(
        self, world: World, long_name: str, expression: str
    ) -> None:
        assert set(names(world, name_expression=expression)) <= {long_name}

    @pytest.mark.parametrize(
        "expression",
        ["[", "(", "a)(b", "*", "a{2,1}", "a{1,999}", "\\", "(?P<n>a)", "((a{1,99}){1,99}){1,99}"],
    )
    def test_what_is_none(self, world: World, long_name: str, expression: str) -> None:
        wanted = Wanted(name_expression=expression)
        with pytest.raises(BadExpression), world.engine.begin() as conn:
            server_lists.list_brief(conn, world.scope, wanted)

    def test_what_takes_too_long_is_ended(
        self, world: World, long_name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server_lists, "MOST_MILLISECONDS", 200)
        wanted = Wanted(name_expression="(^|$|a)*" * 25 + "b")
        with pytest.raises(CostlyExpression), world.engine.begin() as conn:
            server_lists.list_brief(conn, world.scope, wanted)
        with world.engine.begin() as conn:  # the bound is gone with its transaction
            assert conn.execute(text("SHOW statement_timeout")).scalar_one() == "30s"


class TestStatements:
    @pytest.fixture
    def full(self, world: World) -> list[int]:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 50, public=50)
        return world.create(min_count=5, max_count=5, metadata={"a": "1", "b": "2"})

    @pytest.mark.parametrize("ask", [server_lists.list_brief, server_lists.list_detail])
    @pytest.mark.parametrize(
        "wanted",
        [
            Wanted(),
            Wanted(name_prefix="ser", vm_state="BUILD", image_id=1, flavor_id=1),
            Wanted(changes_since=LONG_AGO),
        ],
    )
    @pytest.mark.parametrize("marker", [None, 4])
    def test_one_each(
        self, world: World, full: list[int], ask: Any, wanted: Wanted, marker: int | None
    ) -> None:
        with world.engine.begin() as conn, statements(world.engine) as sent:
            assert len(ask(conn, world.scope, wanted, marker=marker)) == (3 if marker else 5)
        assert len(sent) == 1

    @pytest.mark.parametrize(
        ("wanted", "marker", "index", "by_order"),
        [
            (Wanted(), None, "ix_servers_live", True),
            (Wanted(), 500, "ix_servers_live", True),
            (Wanted(image_id=1), 500, "ix_servers_live", True),
            (Wanted(changes_since=datetime.now(UTC) + timedelta(days=1)), None,
             "ix_servers_changes", False),
        ],
    )  # fmt: skip
    def test_indexes_find_them(
        self, world: World, wanted: Wanted, marker: int | None, index: str, by_order: bool
    ) -> None:
        """Security: row 19. A page reads about as many rows as it shows, without sorting."""
        with world.engine.begin() as conn:
            for resource in ("instances", "cores", "ram"):
                quota.set_limit(conn, world.scope.tenant_id, world.scope.zone_id, resource, -1)
        world.create(min_count=1000, max_count=1000)
        asked: list[tuple[str, Any]] = []

        def note(conn: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
            asked.append((statement, parameters))

        with world.engine.begin() as conn:
            conn.execute(text("ANALYZE servers"))
            event.listen(world.engine, "before_cursor_execute", note)
            server_lists.list_brief(conn, world.scope, wanted, marker=marker, limit=10)
            event.remove(world.engine, "before_cursor_execute", note)
            statement, parameters = asked[0]
            rows = conn.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            plan = "\n".join(row[0] for row in rows)
        assert f"Index Scan using {index}" in plan
        assert ("Sort" not in plan) is by_order
