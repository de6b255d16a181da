"""Configuration drives, read back with other programs than they were made with."""

from __future__ import annotations

import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from compute_agent import config_drive
from compute_agent.guest_files import GuestFile
from db.settings import settings
from db.wanted import WantedFile
from tests.unit.compute_agent.servers import make_server

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me@example"
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def layout(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The default layout, which tests may change."""
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


def personality(*files: tuple[str, bytes]) -> tuple[WantedFile, ...]:
    return tuple(WantedFile(path, b64encode(data).decode()) for path, data in files)


def made(tmp_path: Path, **changes: Any) -> Path:
    """The drive of a server."""
    drive = tmp_path / "drive"
    report = config_drive.make(drive, make_server(config_drive=True, **changes))
    assert report.failed == ()
    assert [path.name for path in tmp_path.iterdir()] == ["drive"]
    return drive


def read(drive: Path, path: str) -> bytes:
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    return subprocess.check_output(["mtype", "-i", drive, f"::{path}"], env=environment, timeout=60)


def blkid(drive: Path) -> dict[str, str]:
    said = subprocess.check_output(["blkid", "-p", "-o", "export", drive], text=True, timeout=60)
    return dict(line.split("=", 1) for line in said.splitlines())


def test_r193_r194_layout_1(tmp_path: Path) -> None:
    """Wire notes 5.5: FAT32, 64 MiB, label config, no partitions; contents byte for byte."""
    data = bytes(range(256)) * 40
    drive = made(
        tmp_path, public_key=KEY, metadata={"k": "v", "é": ""},
        files=personality(
            ("/etc/Banner File.txt", b"hi"), ("/etc/init.d/x", data), ("/é é.txt", b"e"),
            ("/0", b""),
        ),
    )  # fmt: skip
    facts = blkid(drive)
    assert (facts["TYPE"], facts["LABEL"], facts["VERSION"]) == ("vfat", "config", "FAT32")
    assert drive.stat().st_size == 64 * MIB
    assert drive.stat().st_blocks * 512 < 4 * MIB
    assert orjson.loads(read(drive, "/meta.js")) == {"k": "v", "é": ""}
    assert KEY in read(drive, "/root/.ssh/authorized_keys").decode().splitlines()
    assert read(drive, "/etc/Banner File.txt") == b"hi"
    assert read(drive, "/etc/init.d/x") == data
    assert read(drive, "/é é.txt") == b"e"
    assert read(drive, "/0") == b""
    subprocess.run(["fsck.vfat", "-n", drive], check=True, timeout=60, capture_output=True)


def test_r193_both_layouts(tmp_path: Path, layout: pytest.MonkeyPatch) -> None:
    """Wire notes 5.5: old and new images find theirs on one drive."""
    layout.setenv("UNDERCAST_CONFIG_DRIVE_LAYOUT", "both")
    drive = made(
        tmp_path, public_key=KEY, key_name="mine", metadata={"k": "v"},
        user_data=b64encode(b"#!/bin/sh\n").decode(), files=personality(("/etc/x", b"hi")),
    )  # fmt: skip
    assert blkid(drive)["LABEL"] == "config-2"
    assert orjson.loads(read(drive, "/meta.js")) == {"k": "v"}
    assert read(drive, "/etc/x") == b"hi"
    for version in ("2012-08-10", "latest"):
        facts = orjson.loads(read(drive, f"/openstack/{version}/meta_data.json"))
        assert (facts["hostname"], facts["meta"]) == ("first.novalocal", {"k": "v"})
        assert facts["files"] == [{"path": "/etc/x", "content_path": "/content/0000"}]
        assert read(drive, f"/openstack/{version}/user_data") == b"#!/bin/sh\n"
    assert read(drive, "/openstack/content/0000") == b"hi"
    for version in ("2009-04-04", "latest"):
        assert orjson.loads(read(drive, f"/ec2/{version}/meta-data.json"))["hostname"]
        assert read(drive, f"/ec2/{version}/user-data") == b"#!/bin/sh\n"


def test_a_clients_own_file_wins_in_both_layouts(
    tmp_path: Path, layout: pytest.MonkeyPatch
) -> None:
    layout.setenv("UNDERCAST_CONFIG_DRIVE_LAYOUT", "both")
    given = personality(("/ec2/latest/user-data", b"mine"), ("/a", b"1"), ("/a", b"2"))
    drive = made(tmp_path, user_data=b64encode(b"x").decode(), files=given)
    assert read(drive, "/ec2/latest/user-data") == b"mine"
    listed = orjson.loads(read(drive, "/openstack/latest/meta_data.json"))["files"]
    assert [file["path"] for file in listed] == ["/ec2/latest/user-data", "/a"]
    assert read(drive, "/openstack/content/0001") == b"2"


def test_a_server_without_anything_has_an_empty_meta_js(tmp_path: Path) -> None:
    assert orjson.loads(read(made(tmp_path), "/meta.js")) == {}


def test_it_grows_with_its_files(tmp_path: Path) -> None:
    large = bytes(100 * MIB)
    drive = made(tmp_path, files=personality(("/large", large), ("/small", b"x")))
    assert drive.stat().st_size > 100 * MIB
    assert len(read(drive, "/large")) == len(large)


@pytest.mark.parametrize(
    ("paths", "kept", "failed"),
    [
        (["/a", "/../../a"], ["/a"], []),
        (["/meta.js"], [], []),
        (["/A", "/a"], ["/A"], ["'/a' (/A has the same name on FAT)"]),
        (["/d/x", "/D/y"], ["/d/x"], ["'/D/y' (/d has the same name on FAT)"]),
        (["/a", "/a/b"], ["/a"], ["'/a/b' (a file and a directory)"]),
        (["/a/b", "/a"], ["/a/b"], ["'/a' (a file and a directory)"]),
        (["/a:b", "/x."], [], ["'/a:b' (no name for FAT)", "'/x.' (no name for FAT)"]),
        (["/é"], [], ["'/é' (FAT has another name for it, or none)"]),
        (["/con", "/ok"], ["/ok"], ["'/con' (FAT has another name for it, or none)"]),
        (
            ["/aux/x", "/NUL"],
            [],
            [f"'/{name}' (FAT has another name for it, or none)" for name in ("aux/x", "NUL")],
        ),
        (["/I", "/\u0131"], ["/I"], ["'/\u0131' (FAT has another name for it, or none)"]),
        (["/", "/new\nline"], [], ["'/' (no name for FAT)", "'/new\\nline' (no name for FAT)"]),
    ],
)
def test_names_that_fat_does_not_hold(
    tmp_path: Path, paths: list[str], kept: list[str], failed: list[str]
) -> None:
    """Security row 9: paths stay on the drive; the rest is told, and stops nothing."""
    given = personality(*((path, path.encode()) for path in paths))
    report = config_drive.make(tmp_path / "drive", make_server(config_drive=True, files=given))
    assert list(report.done) == list(dict.fromkeys(["/meta.js", *kept]))
    assert report.place == "on the config drive"
    assert list(report.failed) == failed
    for path in kept:
        assert read(tmp_path / "drive", path)


def test_later_files_win() -> None:
    files = [GuestFile("/a", b"1"), GuestFile("/a", b"2")]
    kept, _ = config_drive.fitting(files)
    assert kept == [GuestFile("/a", b"2")]


def test_r192_none_for_windows() -> None:
    assert not config_drive.is_wanted(make_server(config_drive=True, windows=True))
