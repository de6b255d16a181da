"""Copies of a disk: stand alone, complete or absent, and the disk itself is only read."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from compute_agent.disks import disks, places, snapshot
from compute_agent.errors import HostFault, Retry
from db.image_format import inspect_image
from db.wanted import WantedServer
from tests.unit.compute_agent.disks.test_disks import MIB, cache, info
from tests.unit.compute_agent.servers import make_server

__all__ = ["cache"]  # the fixture
IMAGE = 9


def off(new: Path, still: snapshot.Still) -> bool:
    """No guest runs."""
    return False


@pytest.fixture
def server(cache: Any) -> WantedServer:
    """A server whose guest wrote to its disk."""
    made = make_server(root_gb=1)
    disks.build(made, cache)
    write(root_of(made), "0x5a", 512 * MIB)
    return made


def root_of(server: WantedServer) -> Path:
    return places.server_directory(server.id) / "root.qcow2"


def write(disk: Path, pattern: str, offset: int) -> None:
    words = ["qemu-io", "-f", "qcow2", "-c", f"write -P {pattern} {offset} 4096", str(disk)]
    subprocess.run(words, check=True, capture_output=True, timeout=30)


def same(one: Path, other: Path) -> bool:
    words = ["qemu-img", "compare", "-q", "-f", "qcow2", "-F", "qcow2", str(one), str(other)]
    return subprocess.run(words, check=False, timeout=60).returncode == 0


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def go_on(share: float = 0.0) -> None:
    """It is still wanted."""


def take(server: WantedServer, back_up: snapshot.BackUp = off) -> Path:
    snapshot.take(server.id, IMAGE, back_up, go_on)
    return snapshot.path_of(server.id, IMAGE)


def test_it_is_the_disk_and_stands_alone(server: WantedServer, cache: Any) -> None:
    root, base = root_of(server), cache.directory / server.image.checksum
    before = digest(root), digest(base)
    made = take(server)
    assert "backing-filename" not in info(made)
    assert inspect_image(made, "qcow2").virtual_size == disks.GIB
    assert same(root, made)
    assert (digest(root), digest(base)) == before
    assert snapshot.leftovers(server.id) == [made]


def test_again_is_the_same_one(server: WantedServer) -> None:
    """After a stop between effect and commit: what was made is not made again."""
    before = digest(take(server))
    write(root_of(server), "0xff", 0)
    assert digest(take(server)) == before


def test_another_images_copy_is_no_copy_of_ours(server: WantedServer) -> None:
    snapshot.take(server.id, IMAGE - 1, off, go_on)
    write(root_of(server), "0xff", 0)
    made = take(server)
    assert same(root_of(server), made)
    assert snapshot.leftovers(server.id) == [made]


def test_a_half_made_one_is_made_anew(server: WantedServer) -> None:
    half = snapshot.path_of(server.id, IMAGE).with_suffix(".new")
    half.write_bytes(b"half")
    assert same(root_of(server), take(server))
    assert not half.exists()


def test_a_running_guest_copies_itself(server: WantedServer) -> None:
    """qemu gets an empty disk of the same size that it may write to."""

    def back_up(new: Path, still: snapshot.Still) -> bool:
        assert info(new)["virtual-size"] == disks.GIB
        assert new.stat().st_mode & 0o777 == 0o600
        write(new, "0x11", 0)
        return True

    made = take(server, back_up)
    assert not same(root_of(server), made)


def test_what_is_not_wanted_any_more_ends(server: WantedServer) -> None:
    def still(share: float = 0.0) -> None:
        raise Retry("enough")

    def back_up(new: Path, still: snapshot.Still) -> bool:
        still()
        return True

    with pytest.raises(Retry, match="enough"):
        snapshot.take(server.id, IMAGE, back_up, still)
    assert not snapshot.path_of(server.id, IMAGE).exists()
    snapshot.discard(server.id)
    snapshot.discard(server.id)
    assert snapshot.leftovers(server.id) == []


def test_it_must_fit_beforehand(server: WantedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guests whose host is full stand still."""
    usage = snapshot.shutil.disk_usage(root_of(server).parent)
    monkeypatch.setattr(
        snapshot.shutil, "disk_usage", lambda path: usage._replace(free=disks.GIB - 1)
    )
    with pytest.raises(HostFault, match="do not fit"):
        take(server)
    assert snapshot.leftovers(server.id) == []


def test_without_a_disk_it_is_a_host_fault(cache: Any) -> None:
    with pytest.raises(HostFault):
        take(make_server(id=77))


def test_security_04_a_header_that_the_guest_wrote_is_data(
    server: WantedServer, cache: Any, tmp_path: Path
) -> None:
    """CVE-2015-7548: a qcow2 header with a backing file at the start of the guest's own disk."""
    evil, raw = tmp_path / "evil.qcow2", tmp_path / "raw"
    subprocess.run(
        ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd",
         str(evil), "1M"], check=True, timeout=30,
    )  # fmt: skip
    header = evil.read_bytes()[:4096]
    source = tmp_path / "header"
    source.write_bytes(header)
    words = ["qemu-io", "-f", "qcow2", "-c", f"write -s {source} 0 4096", str(root_of(server))]
    subprocess.run(words, check=True, capture_output=True, timeout=30)
    made = take(server)
    assert inspect_image(made, "qcow2").virtual_size == disks.GIB
    words = ["qemu-img", "dd", "-f", "qcow2", "-O", "raw", "bs=4096", "count=1", f"if={made}"]
    subprocess.run([*words, f"of={raw}"], check=True, timeout=30)
    assert raw.read_bytes()[:4096] == header


class TestRebuild:
    def test_both_disks_are_new(self, cache: Any) -> None:
        """R150; and again, as after a stop before the commit."""
        server = make_server(root_gb=1, disk_gb=1)
        disks.build(server, cache)
        directory = places.server_directory(server.id)
        for name in ("root.qcow2", "ephemeral.qcow2"):
            write(directory / name, "0x5a", 300 * MIB)
        other = make_server(root_gb=1, disk_gb=1, image=self.other(cache, server))
        for _ in range(2):
            disks.rebuild(other, cache)
            assert info(directory / "root.qcow2")["backing-filename"].endswith("b" * 64)
            for name in ("root.qcow2", "ephemeral.qcow2"):
                words = ["qemu-io", "-f", "qcow2", "-c", f"read -P 0 {300 * MIB} 4096"]
                said = subprocess.check_output([*words, str(directory / name)], timeout=30)
                assert b"verification failed" not in said

    def test_a_disk_of_another_image_is_not_booted(self, cache: Any) -> None:
        """As after a rebuild that was broken off: its guest would read a mixture."""
        server = make_server()
        disks.build(server, cache)
        with pytest.raises(HostFault, match=f"is of image {'a' * 64}, not of {'b' * 64}"):
            disks.build(make_server(image=self.other(cache, server)), cache)
        disks.build(server, cache)

    def other(self, cache: Any, server: WantedServer) -> Any:
        (cache.directory / ("b" * 64)).write_bytes(b"\0" * MIB)
        return type(server.image)(8, "b" * 64, "raw", MIB, MIB)


def test_how_much_is_copied_is_what_qemu_img_says(server: WantedServer, tmp_path: Path) -> None:
    """R169: of a guest that is off."""
    words = ["qemu-img", "convert", "-p", "-f", "qcow2", "-O", "qcow2", str(root_of(server))]
    said = subprocess.check_output([*words, str(tmp_path / "copy")], text=True, timeout=60)
    shares = [snapshot._share(said[:end]) for end in range(len(said))]
    assert shares == sorted(shares)
    assert (shares[0], snapshot._share(said)) == (0.0, 1.0)
