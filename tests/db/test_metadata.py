"""Metadata under concurrency, and what is not a client's to change (R173-R181, D43e, D45)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection

from db.operations.errors import InProgress
from db.queries import image_changes, images, metadata, server_changes
from db.queries.image_changes import PublicImage
from db.scope import Scope
from tests.db.world import World, at_once

LIMIT = 5


@pytest.fixture
def own_image(world: World) -> int:
    """An image of the tenant, with an item of the system."""
    (row,) = world.rows(
        "UPDATE images SET tenant_id = :t, updated_at = '2012-01-01' WHERE id = :i RETURNING id",
        t=world.scope.tenant_id, i=world.image,
    )  # fmt: skip
    world.rows(
        "INSERT INTO image_metadata VALUES (:i, 'image_type', 'snapshot', true) RETURNING key",
        i=world.image,
    )  # fmt: skip
    return int(row[0])


@pytest.fixture(params=["server", "image"])
def noun(
    world: World, request: pytest.FixtureRequest
) -> tuple[Callable[..., metadata.Owner | None], metadata.Items, int]:
    if request.param == "server":
        return metadata.touch_server, metadata.OF_SERVERS, world.create()[0]
    return metadata.touch_image, metadata.OF_IMAGES, request.getfixturevalue("own_image")


def held(owner: metadata.Owner | None) -> metadata.Owner:
    assert owner is not None
    return owner


class TestTogether:
    """Those who change one owner's items do so one after the other."""

    def test_r176_a_limit_holds(self, world: World, noun: Any) -> None:
        touch, items, owner_id = noun

        def add(key: str, conn: Connection) -> int:
            owner = held(touch(conn, world.scope, owner_id))
            metadata.merge(conn, items, owner, {key: "v"})
            count = len(metadata.keys(conn, items, owner))
            if count > LIMIT:
                raise OverflowError
            return count

        results = at_once([partial(add, f"key {n}") for n in range(12)])
        assert sorted(r for r in results if isinstance(r, int)) == [1, 2, 3, 4, 5]
        assert sum(isinstance(r, OverflowError) for r in results) == 7
        with world.engine.begin() as conn:
            assert len(metadata.keys(conn, items, metadata.Owner(owner_id))) == LIMIT

    def test_r175_one_set_replaces_another_as_a_whole(self, world: World, noun: Any) -> None:
        touch, items, owner_id = noun
        sets = [{f"{n} {m}": "v" for m in range(4)} for n in range(8)]

        def replace(wanted: dict[str, str], conn: Connection) -> None:
            metadata.replace(conn, items, held(touch(conn, world.scope, owner_id)), wanted)

        assert at_once([partial(replace, wanted) for wanted in sets]) == [None] * 8
        with world.engine.begin() as conn:
            found = metadata.keys(conn, items, metadata.Owner(owner_id))
        assert found in [sorted(wanted) for wanted in sets]

    def test_a_server_that_is_deleted_meanwhile(self, world: World) -> None:
        """Whoever comes first: the items are those of the one order or of the other."""
        (server_id,) = world.create(metadata={"a": "1"})

        def write(conn: Connection) -> bool:
            try:
                owner = metadata.touch_server(conn, world.scope, server_id)
            except InProgress:
                return False
            metadata.replace(conn, metadata.OF_SERVERS, held(owner), {"b": "2"})
            return True

        def delete(conn: Connection) -> object:
            return server_changes.request_delete(conn, world.scope, server_id, silent_seconds=15)

        written, operation = at_once([write, delete])
        assert isinstance(operation, int)
        rows = world.rows("SELECT key FROM server_metadata")
        assert rows == ([("b",)] if written else [("a",)])


class TestOwners:
    def test_r94_a_server_by_id_or_uuid(self, world: World) -> None:
        (server_id,) = world.create()
        uuid = world.one("SELECT uuid::text FROM servers")
        with world.engine.begin() as conn:
            assert metadata.touch_server(conn, world.scope, server_id) == metadata.Owner(server_id)
            assert metadata.touch_server(conn, world.scope, uuid) == metadata.Owner(server_id)
            assert metadata.touch_server(conn, world.scope, server_id + 1) is None
        assert world.one("SELECT generation FROM servers") == 3

    @pytest.mark.parametrize("outside", ["stranger", "elsewhere"])
    def test_r11_r16_of_the_scope_only(self, world: World, own_image: int, outside: str) -> None:
        scope: Scope = getattr(world, outside)
        (server_id,) = world.create()
        with world.engine.begin() as conn:
            assert metadata.touch_server(conn, scope, server_id) is None
            assert metadata.touch_image(conn, scope, own_image) is None

    def test_d45_a_public_image(self, world: World) -> None:
        with world.engine.begin() as conn, pytest.raises(PublicImage):
            metadata.touch_image(conn, world.scope, world.image)
        with world.engine.begin() as conn:
            assert metadata.touch_image(conn, world.scope, world.other_image) is None

    def test_a_refusal_undoes_the_touch(self, world: World, own_image: int) -> None:
        def refuse(conn: Connection) -> None:
            metadata.touch_image(conn, world.scope, own_image)
            raise OverflowError

        (result,) = at_once([refuse])
        assert isinstance(result, OverflowError)
        year = "SELECT extract(year FROM updated_at) FROM images WHERE id = :i"
        assert world.one(year, i=own_image) == 2012
        with world.engine.begin() as conn:
            metadata.touch_image(conn, world.scope, own_image)
        assert world.one(year, i=own_image) > 2012


def test_d43_items_of_the_system_and_of_the_record(world: World, own_image: int) -> None:
    """They are passed over when written, replaced, removed and counted."""
    owner, items = metadata.Owner(own_image), metadata.OF_IMAGES
    wanted = dict.fromkeys((*images.RECORD_KEYS, "image_type", "mine"), "x")
    with world.engine.begin() as conn:
        for write in (metadata.merge, metadata.replace):
            write(conn, items, owner, wanted)
            assert metadata.keys(conn, items, owner) == ["mine"]
        for key in wanted:
            assert metadata.remove(conn, items, owner, key) is (key == "mine")
    assert world.rows("SELECT key, value FROM image_metadata") == [("image_type", "snapshot")]


def test_d37_d43_a_snapshot_keeps_no_item_that_is_not_the_client_s(world: World) -> None:
    (server_id,) = world.create()
    client = dict.fromkeys((*images.RECORD_KEYS, "image_state", "mine"), "x")
    with world.engine.begin() as conn:
        image_id = image_changes.create_snapshot(
            conn, world.scope, server_id=server_id, name="image", client=client, instance_ref="r",
        )  # fmt: skip
        found = metadata.keys(conn, metadata.OF_IMAGES, metadata.Owner(image_id))
    assert found == ["mine"]
