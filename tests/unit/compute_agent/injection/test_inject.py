"""Files in a root disk: written by nobody but e2fsprogs, read back, and looked at once more here.

Needs root and /dev/fuse, as an agent does.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from compute_agent.disks import disks, places
from compute_agent.guest_files import Injected
from db.settings import settings
from db.wanted import WantedFile, WantedServer
from tests.unit.compute_agent.disks.test_disks import MIB, LocalImages, info
from tests.unit.compute_agent.servers import make_image, make_server

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me@example"
KEYS = "/root/.ssh/authorized_keys"
APPENDED = f"\n# The following ssh key was injected by Nova\n{KEY}\n"
FIRST = 2048 * 512  # of a partition, in bytes


@dataclass
class Place:
    """Where images and servers are."""

    directory: Path
    cache: LocalImages

    def build(self, image: Path, **changes: Any) -> tuple[WantedServer, Injected]:
        """A server of the image."""
        layout = "qcow2" if image.suffix == ".qcow2" else "raw"
        found = make_image(image, layout)
        image.rename(self.cache.directory / found.checksum)
        server = make_server(image=found, **changes)
        return server, disks.build(server, self.cache)  # type: ignore[arg-type]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Directories that qemu's user can reach."""
    Path("/dev/fuse").chmod(0o666)  # as udev has it
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o711)
        monkeypatch.setenv("UNDERCAST_STATE_DIR", str(directory / "state"))
        settings.cache_clear()
        images = directory / "images"
        images.mkdir(mode=0o711)
        yield Place(directory, LocalImages(images))
        settings.cache_clear()


def personality(*files: tuple[str, bytes]) -> tuple[WantedFile, ...]:
    """A client's files."""
    return tuple(WantedFile(path, b64encode(data).decode()) for path, data in files)


def tree(place: Place) -> Path:
    """What is in an image."""
    root = place.directory / "tree"
    for name in ("etc", "tmp", "srv"):
        (root / name).mkdir(parents=True)
    (root / "etc/motd").write_text("old\n")
    return root


def ext4(root: Path, target: Path, size: int, *, offset: int = 0, options: str = "") -> Path:
    """A file system with what is in ``root``."""
    with target.open("ab") as file:
        file.truncate(offset + size)
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-d", root, "-E", f"root_owner=0:0,offset={offset}"]
    argv += options.split()
    subprocess.run([*argv, target, f"{size // 1024}k"], check=True, timeout=60)
    return target


def partitioned(root: Path, target: Path, table: str) -> Path:
    """A disk whose first partition is such a file system."""
    with target.open("wb") as file:
        file.truncate(64 * MIB)
    lines = f"label: {table}\n1: start=2048, size={40 * MIB // 512}\n"
    subprocess.run(["sfdisk", "-q", target], input=lines, text=True, check=True, timeout=60)
    return ext4(root, target, 40 * MIB, offset=FIRST)


class Guest:
    """A server's root disk, read after the fact, from a flattened copy."""

    def __init__(self, server: WantedServer, offset: int = 0) -> None:
        disk = places.server_directory(server.id) / places.ROOT_DISK
        self._copy = disk.with_suffix(".copy")
        convert = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk, self._copy]
        subprocess.run(convert, check=True, timeout=60)
        self._where = f"{self._copy}?offset={offset}"

    def debugfs(self, command: str) -> str:
        argv = ["debugfs", "-R", command, self._where]
        return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60).stdout

    def read(self, path: str) -> bytes | None:
        with tempfile.TemporaryDirectory() as name:
            target = Path(name) / "file"
            self.debugfs(f'dump "{path}" {target}')
            return target.read_bytes() if target.exists() else None

    def stat(self, path: str) -> tuple[str, str, str, str]:
        """Type, mode, owner and group."""
        said = self.debugfs(f'stat "{path}"')
        found = re.search(
            r"Type: (\w+)\s+Mode:\s+(\d+).*?User:\s+(\d+)\s+Group:\s+(\d+)", said, re.DOTALL
        )
        assert found, said
        return found[1], found[2], found[3], found[4]

    def check(self) -> None:
        """The file system is whole."""
        checked = subprocess.run(
            ["e2fsck", "-fn", self._where], check=False, capture_output=True, text=True, timeout=60
        )
        assert checked.returncode == 0, checked.stdout


DATA = bytes(range(256)) * 300
GIVEN = {
    "public_key": KEY,
    "key_name": "mine",
    "metadata": {"a": "1", "é": '"'},
    "files": personality(("/etc/motd", b"new"), ("/opt/deep/er/file", DATA), ("/empty", b"")),
}


@pytest.mark.parametrize("kind", ["whole.raw", "dos.raw", "gpt.qcow2", "kernel.raw"])
def test_r186_r189_key_metadata_and_files_arrive(place: Place, kind: str) -> None:
    """Wire notes 5.4, in partitioned and partitionless images; the overlay stays thin."""
    image, offset = place.directory / kind, 0
    changes: dict[str, Any] = dict(GIVEN)
    match image.stem:
        case "whole":
            ext4(tree(place), image, 40 * MIB)
        case "kernel":
            ext4(tree(place), image, 40 * MIB)
            changes["kernel"] = make_server().image
        case table:
            raw = partitioned(tree(place), place.directory / "disk", table)
            offset = FIRST
            if image.suffix == ".qcow2":
                convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image]
                subprocess.run(convert, check=True, timeout=60)
            else:
                raw.rename(image)
    before = image.read_bytes()
    server, report = place.build(image, root_gb=1, **changes)
    assert report.failed == ()
    assert set(report.done) == {KEYS, "/meta.js", "/etc/motd", "/opt/deep/er/file", "/empty"}
    guest = Guest(server, offset)
    guest.check()
    assert guest.read(KEYS) == APPENDED.encode()
    assert guest.stat(KEYS) == ("regular", "0600", "0", "0")
    assert guest.stat("/root/.ssh") == ("directory", "0700", "0", "0")
    assert orjson.loads(guest.read("/meta.js") or b"") == {"a": "1", "é": '"'}
    assert (guest.read("/etc/motd"), guest.read("/opt/deep/er/file")) == (b"new", DATA)
    assert guest.read("/empty") == b""
    assert guest.stat("/opt/deep/er/file") == ("regular", "0644", "0", "0")
    assert guest.stat("/opt/deep") == ("directory", "0755", "0", "0")
    assert ".injected" not in guest.debugfs("ls /")
    root = places.server_directory(server.id) / places.ROOT_DISK
    assert root.stat().st_blocks * 512 < 8 * MIB
    assert info(root)["virtual-size"] == disks.GIB
    assert (place.cache.directory / server.image.checksum).read_bytes() == before
    left = {path.name for path in root.parent.iterdir()} - {"root.copy"}
    assert left == {"root.qcow2", "injected.json"}


def test_nothing_to_put_leaves_the_disk_as_its_image(place: Place) -> None:
    server, report = place.build(ext4(tree(place), place.directory / "a.raw", 40 * MIB))
    assert report == Injected()
    assert Guest(server).read("/meta.js") is None


@pytest.mark.parametrize("members", [{"config_drive": True}, {"windows": True}])
def test_r192_r194_windows_and_config_drives_leave_the_root_alone(
    place: Place, members: dict[str, Any]
) -> None:
    image = ext4(tree(place), place.directory / "a.raw", 40 * MIB)
    server, _ = place.build(image, **GIVEN, **members)
    guest = Guest(server)
    assert (guest.read("/meta.js"), guest.read("/etc/motd")) == (None, b"old\n")


def test_keys_are_added_to_those_that_are_there(place: Place) -> None:
    """The image's own keys, its directory and its mode stay."""
    root = tree(place)
    (root / "root/.ssh").mkdir(parents=True)
    (root / "root/.ssh").chmod(0o750)
    (root / "root/.ssh/authorized_keys").write_text("ssh-rsa AAAA theirs\n")
    server, report = place.build(ext4(root, place.directory / "a.raw", 40 * MIB), public_key=KEY)
    assert report == Injected(done=(KEYS,))
    guest = Guest(server)
    assert guest.read(KEYS) == f"ssh-rsa AAAA theirs\n{APPENDED}".encode()
    assert guest.stat("/root/.ssh")[1] == "0750"
    guest.check()


def test_said_again_when_the_step_runs_twice(place: Place) -> None:
    image = ext4(tree(place), place.directory / "a.raw", 40 * MIB)
    server, report = place.build(image, files=personality(("/etc", b"x"), ("/ok", b"y")))
    assert report.done == ("/ok",)
    assert report.failed == ("/etc (a directory)",)
    assert report.level == "warning"
    again = disks.build(server, place.cache)  # type: ignore[arg-type]
    assert again == report
    guest = Guest(server)
    guest.check()
    assert guest.stat("/etc") == ("directory", "0755", "0", "0")


class TestSecurityRow9:
    """Path traversal, symbolic links of the image, huge and odd names (OSSA-2012-008, -011)."""

    def test_row_9_dots_stay_inside(self, place: Place) -> None:
        image = ext4(tree(place), place.directory / "a.raw", 40 * MIB)
        given = personality(("/../../../etc/../escape", b"1"), ("relative/./x", b"2"))
        server, report = place.build(image, files=given)
        assert report == Injected(done=("/escape", "/relative/x"))
        assert Guest(server).read("/escape") == b"1"
        assert not Path("/escape").exists()

    def test_row_9_links_lead_to_places_of_the_image(self, place: Place) -> None:
        """Absolute links too: they never reach this host's files."""
        root, outside = tree(place), place.directory / "outside"
        outside.mkdir(mode=0o777)
        outside.chmod(0o777)
        (root / "up").symlink_to("../../../../../../etc")
        (root / "out").symlink_to(outside)
        (root / "etc/passwd").symlink_to("/etc/shadow")
        (root / "loop").symlink_to("/loop")
        (root / "root").symlink_to("/srv")
        image = ext4(root, place.directory / "a.raw", 40 * MIB)
        given = personality(
            ("/up/a", b"1"), ("/out/b", b"2"), ("/etc/passwd", b"3"), ("/loop/c", b"4")
        )
        server, report = place.build(image, files=given, public_key=KEY)
        assert set(report.done) == {KEYS, "/up/a", "/etc/passwd"}
        assert {failed.split()[0] for failed in report.failed} == {"/out/b", "/loop/c"}
        guest = Guest(server)
        guest.check()
        assert guest.read("/etc/a") == b"1"
        assert guest.read("/etc/passwd") == b"3"
        assert guest.read("/etc/shadow") is None
        assert guest.read("/srv/.ssh/authorized_keys") == APPENDED.encode()
        assert list(outside.iterdir()) == []
        assert guest.read("/b") is None

    def test_row_9_odd_names(self, place: Place) -> None:
        image = ext4(tree(place), place.directory / "a.raw", 40 * MIB)
        odd = ['/a "b" c', "/<2>", "/-rf", "/!touch x", "/#x", "/é/ü", "/" + "n" * 254, "/a\\b"]
        given = personality(*((path, path.encode()) for path in odd))
        bad = personality(("/new\nrm /etc/motd", b"x"), ("/\r", b"x"), ("/", b"x"), ("/..", b"x"))
        server, report = place.build(image, files=given + bad)
        assert list(report.done) == odd
        assert len(report.failed) == 3  # "/" and "/.." are one
        guest = Guest(server)
        guest.check()
        for path in odd:
            assert guest.read(path.replace('"', '""')) == path.encode(), path
        assert guest.read("/etc/motd") == b"old\n"

    def test_row_9_no_process_of_ours_reads_as_root(self, place: Place) -> None:
        """The link of keys to a file that only root could read stays a link to nothing."""
        root = tree(place)
        (root / "root/.ssh").mkdir(parents=True)
        (root / "root/.ssh/authorized_keys").symlink_to("/etc/shadow")
        image = ext4(root, place.directory / "a.raw", 40 * MIB)
        server, report = place.build(image, public_key=KEY)
        assert report == Injected(done=(KEYS,))
        assert Guest(server).read(KEYS) == APPENDED.encode()


class TestFailure:
    """Failure to inject never fails the server, and its disk is then as the image."""

    def test_no_file_system(self, place: Place) -> None:
        image = place.directory / "a.raw"
        image.write_bytes(b"\0" * MIB)
        server, report = place.build(image, public_key=KEY)
        assert "no usable ext file system" in report.failed[0]
        root = places.server_directory(server.id) / places.ROOT_DISK
        assert info(root)["virtual-size"] == MIB
        assert root.stat().st_blocks * 512 <= MIB

    def test_no_first_partition(self, place: Place) -> None:
        image = place.directory / "a.raw"
        image.write_bytes(b"\0" * MIB)
        lines = "label: dos\n2: start=64, size=64\n"
        subprocess.run(["sfdisk", "-q", image], input=lines, text=True, check=True, timeout=60)
        _, report = place.build(image, public_key=KEY)
        assert "no partition 1" in report.failed[0]

    def test_full_file_system(self, place: Place) -> None:
        root = tree(place)
        (root / "fill").write_bytes(b"x" * (5 * MIB))
        image = ext4(root, place.directory / "a.raw", 8 * MIB, options="-O ^has_journal -m 0")
        large = b"y" * (4 * MIB)
        server, report = place.build(image, files=personality(("/small", b"s"), ("/large", large)))
        assert report.done == ("/small",)
        assert report.failed == ("/large (no room)",)
        guest = Guest(server)
        assert (guest.read("/small"), guest.read("/large")) == (b"s", None)

    def test_huge_file_of_keys_does_not_fill_the_host(self, place: Place) -> None:
        root = tree(place)
        (root / "root/.ssh").mkdir(parents=True)
        with (root / "root/.ssh/authorized_keys").open("wb") as file:
            file.truncate(8 * 1024 * MIB)
        image = ext4(root, place.directory / "a.raw", 40 * MIB)
        server, report = place.build(image, public_key=KEY)
        assert report == Injected(done=(KEYS,))
        assert len(Guest(server).read(KEYS) or b"") < 2 * MIB

    def test_journal_is_replayed_first(self, place: Place) -> None:
        """A snapshot of a running server is such an image."""
        image = ext4(tree(place), place.directory / "a.raw", 40 * MIB)
        subprocess.run(
            ["debugfs", "-w", "-f", "-", image], timeout=60, check=True, capture_output=True,
            input=b"feature needs_recovery\n",
        )  # fmt: skip
        server, report = place.build(image, public_key=KEY)
        assert report == Injected(done=(KEYS,))
        Guest(server).check()

    def test_without_the_device(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        image = ext4(tree(place), place.directory / "a.raw", 40 * MIB)
        monkeypatch.setattr(os, "geteuid", lambda: 1)
        server, report = place.build(image, public_key=KEY)
        assert report.failed == ("anything: only root can export a disk",)
        assert (
            info(places.server_directory(server.id) / places.ROOT_DISK)["virtual-size"] == 40 * MIB
        )
