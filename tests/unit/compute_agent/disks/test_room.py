"""The image cache is bounded, and never loses what a guest needs (security row 7)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compute_agent import serverdir
from compute_agent.disks import disks, places, room
from compute_agent.disks.room import REST, STALE, Room
from compute_agent.errors import HostFault
from compute_agent.serverdir import ServerRecord
from db.settings import settings
from db.wanted import WantedImage
from tests.unit.compute_agent.servers import IMAGE, make_server

SIZE = 1000  # bytes of each image of these tests


def checksum(letter: str) -> str:
    return letter * 64


def image(letter: str, owner: str | None = None) -> WantedImage:
    return replace(IMAGE, checksum=checksum(letter), size=SIZE, owner=owner)


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Directory of the cache."""
    monkeypatch.setenv("UNDERCAST_STATE_DIR", str(tmp_path))
    settings.cache_clear()
    directory = places.images_directory()
    directory.mkdir()
    yield directory
    settings.cache_clear()


def cached(images: Path, letter: str, age: float, owner: str | None = None) -> Path:
    """A file that was used ``age`` seconds ago."""
    path = images / checksum(letter)
    room.keep_owner(path, owner)
    path.write_bytes(bytes(SIZE))
    used = time.time() - age
    os.utime(path, (used, used))
    return path


def fetch(kept: Room, wanted: WantedImage) -> None:
    with kept.reserved(wanted):
        pass


def names(images: Path) -> str:
    return "".join(sorted(path.name[0] for path in images.iterdir() if path.suffix == ""))


def test_least_recently_used_goes_first(images: Path) -> None:
    for letter, age in (("a", REST + 30), ("b", REST + 50), ("c", REST + 10)):
        cached(images, letter, age)
    kept = Room(images, 3 * SIZE, 3 * SIZE, set)
    fetch(kept, image("d"))
    assert names(images) == "ac"
    with kept.reserved(image("d")), kept.reserved(image("e")):
        assert names(images) == "c"


def test_what_is_needed_or_was_just_asked_for_stays(images: Path) -> None:
    cached(images, "a", REST + 50)
    cached(images, "b", 1.0)
    kept = Room(images, 2 * SIZE, 2 * SIZE, lambda: {checksum("a")})
    with pytest.raises(HostFault, match="no room in the image cache"):
        fetch(kept, image("c"))
    assert names(images) == "ab"


def test_images_on_their_way_take_room(images: Path) -> None:
    kept = Room(images, 2 * SIZE, 2 * SIZE, set)
    with kept.reserved(image("a")), kept.reserved(image("b")), pytest.raises(HostFault):
        fetch(kept, image("c"))
    fetch(kept, image("c"))


def test_security_row_7_private_images_of_a_tenant_have_a_part_only(images: Path) -> None:
    """Its own go first; another's and public ones stay."""
    cached(images, "a", REST + 90)
    cached(images, "b", REST + 50, "1")
    cached(images, "c", REST + 40, "1")
    cached(images, "d", REST + 95, "2")
    kept = Room(images, 100 * SIZE, 2 * SIZE, lambda: {checksum("c")})
    fetch(kept, image("e", "1"))
    assert names(images) == "acd"
    cached(images, "e", 1.0, "1")
    with pytest.raises(HostFault, match="tenant 1"):
        fetch(kept, image("f", "1"))
    fetch(kept, image("f", "2"))
    fetch(kept, image("f"))
    assert names(images) == "acde"


def test_an_image_that_becomes_public_is_nobodys(images: Path) -> None:
    path = cached(images, "a", 1.0, "1")
    assert room.owner_of(path) == "1"
    room.keep_owner(path, None)
    assert room.owner_of(path) == ""
    room.keep_owner(path, "2")  # it is there, and public
    assert room.owner_of(path) == ""


def test_security_row_5_guests_keep_room_on_the_disk(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=room.KEPT_FREE + SIZE - 1, total=1 << 40)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(HostFault, match="are free"):
        fetch(Room.from_settings(), image("a"))


def test_security_row_5_nothing_goes_in_vain(images: Path) -> None:
    """An image that would not fit an empty cache evicts nobody."""
    for letter in "ab":
        cached(images, letter, REST + 10)
    kept = Room(images, 3 * SIZE, 3 * SIZE, set)
    with pytest.raises(HostFault, match="no room"):
        fetch(kept, replace(image("c"), size=4 * SIZE))
    assert names(images) == "ab"


def test_a_full_disk_is_room_of_idle_images(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guests took the disk: the cache gives back what nobody needs, for a fetch and by itself."""
    for letter, age in (("a", 1), ("b", REST + 20), ("c", REST + 10), ("d", REST + 30)):
        cached(images, letter, age)
    monkeypatch.setattr(
        shutil,
        "disk_usage",
        lambda _: SimpleNamespace(free=room.KEPT_FREE + (4 - len(names(images))) * SIZE),
    )
    kept = Room(images, 100 * SIZE, 100 * SIZE, lambda: {checksum("d")})
    fetch(kept, image("e"))
    assert names(images) == "acd"
    monkeypatch.setattr(room, "KEPT_FREE", room.KEPT_FREE + 10 * SIZE)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    kept.tidy()
    assert names(images) == "ad"


def test_tidying_follows_settings_and_removes_leftovers(images: Path) -> None:
    cached(images, "a", REST + 50)
    cached(images, "b", REST + 40)
    for name, age in (("c.part", STALE + 1), ("d.part", 10.0), ("c.lock", STALE + 1)):
        path = images / name
        path.touch()
        os.utime(path, (time.time() - age, time.time() - age))
    Room(images, SIZE, SIZE, set).tidy()
    assert sorted(path.name for path in images.iterdir()) == [checksum("b"), "d.part"]


class TestNeeded:
    def test_bases_of_disks_and_images_of_records(self, images: Path) -> None:
        """A guest that is off, one whose record names another image by now, one without disks."""
        base = images / checksum("a")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", base, "1M"], check=True)
        stored = replace(IMAGE, checksum=base.name, disk_format="qcow2", virtual_size=1 << 20)
        local: Any = SimpleNamespace(fetch=lambda image: images / image.checksum)
        server = make_server(image=stored)
        disks.build(server, local)
        assert room.needed_images() == {checksum("a")}
        later = make_server(image=image("b"), kernel=image("c"), ramdisk=image("d"))
        serverdir.write(ServerRecord(later, 1))
        assert room.needed_images() == {checksum(letter) for letter in "abcd"}
        disks.erase(server.id)
        assert room.needed_images() == set()

    def test_disks_that_are_none_need_nothing(self, tmp_path: Path) -> None:
        disk = tmp_path / "root.qcow2"
        assert room.base_of(disk) == ""
        for data in (b"", b"QFI", os.urandom(4096)):
            disk.write_bytes(data)
            room.base_of(disk)
