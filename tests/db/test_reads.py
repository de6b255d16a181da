"""Hot reads are one statement each, and see their scope only (R11, R16, R40-R49)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event

from db.operations.errors import InProgress
from db.queries import images, keypairs, server_changes, server_lists, servers
from db.queries.keypairs import KeypairRow
from db.queries.server_changes import UnknownImage
from db.scope import Scope
from tests.db.world import World, add_addresses, create


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


class TestOneStatement:
    @pytest.fixture
    def many(self, world: World) -> list[int]:
        with world.engine.begin() as conn:
            add_addresses(conn, world.scope.zone_id, 50, public=50)
        return world.create(min_count=12, max_count=12, metadata={"a": "1", "b": "2"})

    @pytest.mark.parametrize(
        "read",
        [
            servers.find,
            lambda conn, scope, i: server_lists.list_detail(conn, scope),
            lambda conn, scope, i: server_lists.list_brief(conn, scope),
            lambda conn, scope, i: images.list_detail(conn, scope),
            lambda conn, scope, i: images.list_brief(conn, scope),
        ],
        ids=["detail", "detail list", "brief list", "image detail list", "image brief list"],
    )
    def test_read(self, world: World, many: list[int], read: Callable[..., object]) -> None:
        with world.engine.begin() as conn, statements(world.engine) as sent:
            assert read(conn, world.scope, many[0])
        assert len(sent) == 1

    @pytest.mark.parametrize("listed", [images.list_brief, images.list_detail])
    def test_images_whatever_is_asked_for(
        self, world: World, listed: Callable[..., list[Any] | None]
    ) -> None:
        """R167, row 19: filters and marker make it neither more statements nor other text."""
        world.rows(
            "UPDATE images SET source_server_id = 7, source_server_uuid = 'u' RETURNING id"
        )  # fmt: skip
        newer = world.rows(
            "INSERT INTO images (zone_id, name, status, disk_format, checksum, source_server_id,"
            " source_server_uuid) SELECT zone_id, name, status, disk_format, checksum, 7, 'u'"
            " FROM images WHERE id = :i RETURNING id", i=world.image,
        )[0][0]  # fmt: skip
        everything = images.Wanted(
            source_server_id=7, source_server_uuid="u", name="mini", status="ACTIVE",
            snapshots=True, changes_since=datetime(2012, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        for wanted in (images.EVERYTHING, everything):
            with world.engine.begin() as conn, statements(world.engine) as sent:
                found = listed(conn, world.scope, wanted, marker=newer, limit=10)
            assert [image.id for image in found or []] == [world.image]
            assert len(sent) == 1
            assert "mini" not in sent[0]

    def test_a_detail_says_all(self, world: World, many: list[int]) -> None:
        with world.engine.begin() as conn:
            found = servers.find(conn, world.scope, many[0])
            assert found is not None
            assert found.metadata == {"a": "1", "b": "2"}
            assert [group["name"] for group in found.security_groups or []] == ["default"]
            assert (found.vm_state, found.task_state) == ("BUILD", "scheduling")
            assert servers.find(conn, world.scope, found.uuid) == found


class TestPages:
    def test_each_once_newest_first(self, world: World) -> None:
        ids = [world.create(f"s{n}")[0] for n in range(7)]
        seen: list[int] = []
        marker: int | str | None = None
        with world.engine.begin() as conn:
            for _ in range(5):
                page = server_lists.list_detail(conn, world.scope, marker=marker, limit=2)
                assert page is not None
                seen += [server.id for server in page]
                marker = page[-1].uuid if page else marker
        assert seen == ids[::-1]

    def test_an_unknown_marker(self, world: World) -> None:
        with world.engine.begin() as conn:
            assert server_lists.list_brief(conn, world.scope, marker=99) is None


class TestScope:
    """Neither another tenant nor another zone sees, or changes, what is there."""

    @pytest.fixture(params=["stranger", "elsewhere"])
    def outside(self, world: World, request: pytest.FixtureRequest) -> Scope:
        scope: Scope = getattr(world, request.param)
        return scope

    def test_servers(self, world: World, outside: Scope) -> None:
        (server_id,) = world.create()
        with world.engine.begin() as conn:
            inside = servers.find(conn, world.scope, server_id)
            assert inside is not None
            assert servers.find(conn, outside, server_id) is None
            assert servers.find(conn, outside, inside.uuid) is None
            assert server_lists.list_detail(conn, outside) == []
            assert server_lists.list_brief(conn, outside) == []
            assert server_lists.list_brief(conn, outside, marker=server_id) is None

    def test_changes_of_servers(self, world: World, outside: Scope) -> None:
        (server_id,) = world.create()
        with world.engine.begin() as conn:
            assert server_changes.rename(conn, outside, server_id, "stolen") is None
            assert not server_changes.request_delete(conn, outside, server_id, silent_seconds=15)
        assert world.rows("SELECT name, task_state FROM servers") == [("server", "scheduling")]

    def test_keypairs(self, world: World, outside: Scope) -> None:
        with world.engine.begin() as conn:
            assert keypairs.add(conn, world.scope, KeypairRow("key", "ssh-rsa A", "00:11"))
            assert keypairs.find(conn, outside, ["key"]) is None
            assert keypairs.list_all(conn, outside) == []
            assert not keypairs.remove(conn, outside, ["key"])
            assert keypairs.add(conn, outside, KeypairRow("key", "ssh-rsa B", "00:11"))
            assert len(keypairs.list_all(conn, world.scope)) == 1

    def test_an_image_of_another_zone_boots_nothing(self, world: World) -> None:
        with world.engine.begin() as conn:
            assert images.find(conn, world.scope, world.other_image) is None
            with pytest.raises(UnknownImage):
                create(conn, world.scope, world.other_image, "server")

    def test_an_image_of_another_tenant_boots_nothing(self, world: World) -> None:
        world.rows(
            "UPDATE images SET tenant_id = :t WHERE id = :i RETURNING id",
            t=world.stranger.tenant_id, i=world.image,
        )  # fmt: skip
        with world.engine.begin() as conn:
            assert images.find(conn, world.scope, world.image) is None
            assert images.list_brief(conn, world.scope) == []
            with pytest.raises(UnknownImage):
                create(conn, world.scope, world.image, "server")
            assert create(conn, world.stranger, world.image, "server")


class TestDelete:
    def test_a_second_one_changes_nothing(self, world: World) -> None:
        (server_id,) = world.create()
        with world.engine.begin() as conn:
            first = server_changes.request_delete(conn, world.scope, server_id, silent_seconds=15)
            second = server_changes.request_delete(conn, world.scope, server_id, silent_seconds=15)
        assert first is not None
        assert second is None
        assert world.one("SELECT count(*) FROM operations WHERE kind = 'delete'") == 1
        assert world.one("SELECT count(cancel_requested_at) FROM operations") == 1

    def test_it_is_not_renamed_any_more(self, world: World) -> None:
        (server_id,) = world.create()
        with world.engine.begin() as conn:
            server_changes.request_delete(conn, world.scope, server_id, silent_seconds=15)
        with pytest.raises(InProgress), world.engine.begin() as conn:
            server_changes.rename(conn, world.scope, server_id, "new")
