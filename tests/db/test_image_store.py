"""The image store holds what somebody needs, and nothing else for long (R170)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import text

from db import image_store
from db.image_store.directory import Directory
from db.queries import image_changes, images_admin, progress
from tests.db.test_server_actions import active, do, image, snapshot
from tests.db.world import World

REST = 600.0
OLD = (0, 0)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path


def put(store: Path, name: str, *, old: bool = True) -> Path:
    path = store / name
    path.write_bytes(b"bytes")
    if old:
        os.utime(path, OLD)
    return path


def sweep(world: World, store: Path) -> int:
    return image_store.sweep(world.engine, Directory(store), rest=REST)


def test_what_nobody_needs_goes(world: World, store: Path) -> None:
    orphan, fresh = put(store, "e" * 64), put(store, "f" * 64, old=False)
    stranger = put(store, "README")
    assert sweep(world, store) == 1
    assert not orphan.exists()
    assert fresh.exists()
    assert stranger.exists()
    assert sweep(world, store) == 0


def test_what_was_broken_off_on_its_way_in_goes(world: World, store: Path) -> None:
    broken = put(store, f"{image_store.INCOMING}x")
    going_on = put(store, f"{image_store.INCOMING}y", old=False)
    assert sweep(world, store) == 1
    assert (broken.exists(), going_on.exists()) == (False, True)


def test_images_keep_their_bytes_until_the_last_is_deleted(world: World, store: Path) -> None:
    """Of the same bytes there is one file; a tenant's image goes like the operator's."""
    kept = put(store, "0" * 64)
    own = do(world, snapshot(world, active(world))).image_id
    with world.engine.begin() as conn:
        image_changes.finish(conn, own, image_changes.StoredBytes("0" * 64, 5, 2**30))
        conn.execute(text("UPDATE operations SET finished_at = now(), outcome = 'done'"))
        for public in (world.image, world.other_image):
            images_admin.delete(conn, public)
        progress.release_all(conn, world.one("SELECT id FROM servers"))
    assert sweep(world, store) == 0
    with world.engine.begin() as conn:
        assert image_changes.delete(conn, world.scope, own)
    assert sweep(world, store) == 1
    assert not kept.exists()


def test_a_live_server_keeps_what_it_boots_from(world: World, store: Path) -> None:
    """Image, kernel and ramdisk, though all are deleted: another host may want them."""
    kernel = image(world, "kernel", kind="kernel", disk_format="raw")
    ramdisk = image(world, "ramdisk", kind="ramdisk", disk_format="raw")
    machine = image(world, "machine", kernel_id=kernel, ramdisk_id=ramdisk)
    server_id = active(world)
    with world.engine.begin() as conn:
        conn.execute(text("UPDATE servers SET image_id = :i"), {"i": machine})
        for image_id in (machine, kernel, ramdisk):
            images_admin.delete(conn, image_id)
    files = [put(store, letter * 64) for letter in "kmr"]
    hexadecimal = dict(zip("kmr", "abc", strict=True))
    for letter, path in zip("kmr", list(files), strict=True):
        path.rename(store / (hexadecimal[letter] * 64))
        with world.engine.begin() as conn:
            conn.execute(
                text("UPDATE images SET checksum = :new WHERE checksum = :old"),
                {"new": hexadecimal[letter] * 64, "old": letter * 64},
            )
    assert sweep(world, store) == 0
    with world.engine.begin() as conn:
        progress.release_all(conn, server_id)
    assert sweep(world, store) == 3


def test_a_snapshot_on_its_way_keeps_its_bytes(world: World, store: Path) -> None:
    """Between the upload and the commit that makes the image active."""
    put(store, "5" * 64)
    do(world, snapshot(world, active(world)))
    with world.engine.begin() as conn:
        conn.execute(
            text("UPDATE operations SET params = params || CAST(:more AS jsonb)"
                 " WHERE kind = 'snapshot'"), {"more": f'{{"checksum": "{"5" * 64}"}}'},
        )  # fmt: skip
    assert sweep(world, store) == 0
    with world.engine.begin() as conn:
        conn.execute(text("UPDATE operations SET finished_at = now(), outcome = 'cancelled'"))
    assert sweep(world, store) == 1


def test_bytes_that_somebody_brings_again_meanwhile_stay(world: World, store: Path) -> None:
    """The sweeper waits for the lock of the checksum, and looks again."""
    path = put(store, "d" * 64)
    swept: list[int] = []
    with world.engine.begin() as conn:
        images_admin.lock_bytes(conn, "d" * 64)
        sweeper = Thread(target=lambda: swept.append(sweep(world, store)))
        sweeper.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        deadline = time.monotonic() + 20
        while not world.one(waiting):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        incoming = put(store, f"{image_store.INCOMING}z", old=False)
        assert Directory(store).place(incoming, "d" * 64)
    sweeper.join(20)
    assert swept == [0]
    assert path.exists()


def test_without_a_store(world: World, tmp_path: Path) -> None:
    assert sweep(world, tmp_path / "none") == 0
