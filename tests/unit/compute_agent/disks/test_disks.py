"""A server's disks are complete or absent, and survive a second run of the step."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compute_agent import serverdir
from compute_agent.disks import disks, places
from compute_agent.errors import HostFault
from db.settings import settings
from db.wanted import WantedImage
from tests.unit.compute_agent.servers import make_server

MIB = 1024 * 1024


class LocalImages:
    """A cache whose images are there already."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.asked: list[int] = []

    def fetch(self, image: WantedImage) -> Path:
        self.asked.append(image.id)
        return self.directory / image.checksum


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalImages]:
    monkeypatch.setenv("UNDERCAST_STATE_DIR", str(tmp_path / "state"))
    settings.cache_clear()
    images = tmp_path / "images"
    images.mkdir()
    (images / ("a" * 64)).write_bytes(b"\0" * MIB)
    yield LocalImages(images)
    settings.cache_clear()


def info(path: Path) -> dict[str, Any]:
    words = ["qemu-img", "info", "-f", "qcow2", "--output", "json", str(path)]
    result: dict[str, Any] = json.loads(subprocess.check_output(words, timeout=30))
    return result


def test_root_is_an_overlay_as_large_as_the_flavor(cache: Any) -> None:
    server = make_server(root_gb=2)
    disks.build(server, cache)
    directory = places.server_directory(server.id)
    found = info(directory / "root.qcow2")
    assert found["virtual-size"] == 2 * disks.GIB
    assert found["backing-filename"] == str(cache.directory / server.image.checksum)
    assert found["backing-filename-format"] == "raw"
    assert {path.name for path in directory.iterdir()} == {
        "root.qcow2",
        "injected.json",
    }


def test_root_without_size_is_as_large_as_the_image(cache: Any) -> None:
    server = make_server(root_gb=0)
    disks.build(server, cache)
    found = info(places.server_directory(server.id) / "root.qcow2")
    assert found["virtual-size"] == server.image.virtual_size


def test_ephemeral_disk_is_formatted_and_thin(cache: Any, tmp_path: Path) -> None:
    server = make_server(disk_gb=10)
    disks.build(server, cache)
    path = places.server_directory(server.id) / "ephemeral.qcow2"
    assert info(path)["virtual-size"] == 10 * disks.GIB
    assert path.stat().st_blocks * 512 < 40 * MIB
    raw = tmp_path / "raw"
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
    label = subprocess.check_output(["blkid", "-p", "-o", "value", "-s", "LABEL", raw], text=True)
    assert label.strip() == "ephemeral0"


def test_kernel_and_ramdisk_are_fetched(cache: Any) -> None:
    kernel = WantedImage(8, "b" * 64, "raw", 5, 5)
    ramdisk = WantedImage(9, "c" * 64, "raw", 5, 5)
    disks.build(make_server(kernel=kernel, ramdisk=ramdisk), cache)
    assert cache.asked == [7, 8, 9]


def test_existing_disk_is_never_made_again(cache: Any) -> None:
    server = make_server()
    disks.build(server, cache)
    root = places.server_directory(server.id) / "root.qcow2"
    subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 0 4096", root],
        check=True,
        capture_output=True,
    )
    before = root.read_bytes()
    disks.build(server, cache)
    assert root.read_bytes() == before


def test_half_made_disk_is_made_anew(cache: Any) -> None:
    server = make_server()
    directory = places.make_passable(places.server_directory(server.id))
    (directory / "root.new").write_bytes(b"half")
    disks.build(server, cache)
    assert {path.name for path in directory.iterdir()} == {
        "root.qcow2",
        "injected.json",
    }


def test_disk_that_cannot_be_made_is_a_host_fault(cache: Any) -> None:
    with pytest.raises(HostFault):
        disks.build(make_server(image=WantedImage(7, "f" * 64, "raw", 1, 1)), cache)


def test_erase_leaves_nothing_and_can_be_repeated(cache: Any) -> None:
    server = make_server()
    disks.build(server, cache)
    assert serverdir.ids() == {server.id}
    disks.erase(server.id)
    disks.erase(server.id)
    assert serverdir.ids() == set()
    assert list(places.trash_directory().iterdir()) == []


def test_erase_of_a_killed_agent_is_finished(cache: Any) -> None:
    leftover = places.trash_directory() / "42-abcd"
    leftover.mkdir(parents=True)
    (leftover / "root.qcow2").touch()
    other = places.trash_directory() / "421-abcd"
    other.mkdir()
    disks.erase(42)
    assert list(places.trash_directory().iterdir()) == [other]
    disks.empty_trash()
    assert list(places.trash_directory().iterdir()) == []
