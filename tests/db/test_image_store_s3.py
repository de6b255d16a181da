"""The image store in S3, on a real server of its protocol."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from db import image_store
from db.image_store import StoreAway
from db.image_store.remote import Remote
from db.queries import images_admin
from tests.db.world import World
from tests.s3_server import S3Server, s3_server

CONTENT = b"undercast" * 3_000_000  # more than one part of an upload


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as made:
        yield made


@pytest.fixture
def store(server: S3Server, tmp_path: Path) -> Iterator[Remote]:
    made = Remote(server.url, json.dumps(server.options), tmp_path / "staging")
    yield made
    for name in made.names(float("inf")):
        made.remove(name)


def put(store: Remote, content: bytes) -> str:
    store.incoming.mkdir(exist_ok=True)
    path = store.incoming / f"{image_store.INCOMING}x"
    path.write_bytes(content)
    checksum = hashlib.sha256(content).hexdigest()
    store.bring(path, checksum)
    assert store.place(path, checksum)
    path.unlink()
    return checksum


def test_bytes_come_back_whole_and_in_parts(store: Remote) -> None:
    told: list[int] = []
    checksum = put(store, CONTENT)
    assert store.size(checksum) == len(CONTENT)
    assert store.read(checksum, 0, len(CONTENT)) == CONTENT
    assert store.read(checksum, 20_000_000, 100) == CONTENT[20_000_000:20_000_100]
    assert store.path(checksum) is None
    other = store.incoming / "other"
    other.write_bytes(CONTENT[1:])
    store.bring(other, hashlib.sha256(CONTENT[1:]).hexdigest(), told.append)
    assert told[-1] == len(CONTENT) - 1
    assert len(told) > 1


def test_what_is_not_there(store: Remote) -> None:
    nothing = "0" * 64
    assert store.size(nothing) is None
    assert store.stamp(nothing) == float("inf")
    assert store.names(float("inf")) == []
    store.remove(nothing)
    with pytest.raises(FileNotFoundError):
        store.read(nothing, 0, 1)


def test_an_upload_that_is_broken_off_leaves_nothing(store: Remote) -> None:
    store.incoming.mkdir()
    path = store.incoming / "x"
    path.write_bytes(CONTENT)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.bring(path, "a" * 64, interrupt)
    assert store.names(float("inf")) == []
    assert store._fs.list_multipart_uploads("undercast-images") in (None, [])


def test_what_somebody_removed_meanwhile_is_brought_again(store: Remote) -> None:
    store.incoming.mkdir()
    path = store.incoming / "x"
    path.write_bytes(b"bytes")
    store.bring(path, "b" * 64)
    store.remove("b" * 64)
    assert not store.place(path, "b" * 64)
    store.bring(path, "b" * 64)
    assert store.place(path, "b" * 64)


def test_the_sweeper_takes_what_nobody_needs(store: Remote, world: World) -> None:
    """The world's image has the checksum 000...; what is young stays (R170)."""
    orphan = put(store, b"orphan")
    with store._fs.open(f"{store._root}/{'0' * 64}", "wb") as file:
        file.write(b"needed")
    assert image_store.sweep(world.engine, store, rest=600) == 0
    time.sleep(1.1)  # S3 counts whole seconds
    assert image_store.sweep(world.engine, store, rest=0) == 1
    assert store.size(orphan) is None
    assert store.size("0" * 64) == 6
    assert image_store.sweep(world.engine, store, rest=0) == 0
    with world.engine.begin() as conn:
        images_admin.delete(conn, world.image)
        images_admin.delete(conn, world.other_image)
    assert image_store.sweep(world.engine, store, rest=0) == 1


@pytest.mark.parametrize("wrong", [{"key": "AKIAWRONGWRONGWRONG1"}, {"secret": "wrong"}])
def test_wrong_credentials(server: S3Server, tmp_path: Path, wrong: dict[str, str]) -> None:
    store = Remote(server.url, json.dumps({**server.options, **wrong}), tmp_path)
    path = tmp_path / "x"
    path.write_bytes(b"x")
    for act in (lambda: store.size("a" * 64), lambda: store.bring(path, "a" * 64)):
        with pytest.raises(StoreAway, match=f"{server.url} cannot be used: .") as error:
            act()
        assert str(server.options["secret"]) not in str(error.value)


def test_a_bucket_that_is_not_there_is_not_made(server: S3Server, tmp_path: Path) -> None:
    store = Remote("s3://another-bucket/images", json.dumps(server.options), tmp_path)
    path = tmp_path / "x"
    path.write_bytes(b"x")
    for act in (
        lambda: store.bring(path, "a" * 64), lambda: store.size("a" * 64),
        lambda: store.read("a" * 64, 0, 1), lambda: store.names(0),
    ):  # fmt: skip
        with pytest.raises(StoreAway, match="bucket"):
            act()


def test_a_login_in_the_url_is_not_shown(server: S3Server, tmp_path: Path) -> None:
    url = server.url.replace("//", "//name:password@")
    store = Remote(url, json.dumps(server.options), tmp_path)
    with pytest.raises(StoreAway, match=r"s3://\.\.\.@undercast-images") as error:
        store.size("a" * 64)
    assert "password" not in str(error.value)


def test_nobody_there(tmp_path: Path) -> None:
    options = {"endpoint_url": "http://127.0.0.1:1", "key": "k", "secret": "s"}
    store = Remote("s3://bucket/images", json.dumps(options), tmp_path)
    with pytest.raises(StoreAway, match="cannot be used"):
        store.size("a" * 64)


@pytest.mark.parametrize(
    ("url", "options"), [("nothing://x/y", "{}"), ("s3://b/x", '{"client_kwargs": 5}')]
)
def test_settings_that_open_no_store(tmp_path: Path, url: str, options: str) -> None:
    with pytest.raises(StoreAway):
        Remote(url, options, tmp_path).size("a" * 64)
