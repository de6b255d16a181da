"""The hostile corpus is refused again on the host, whatever the database says of it."""

from __future__ import annotations

import ast
import hashlib
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from compute_agent import process
from compute_agent.disks import cache, disks, places, snapshot
from compute_agent.errors import Fatal, HostFault, Retry
from db.image_format import ImageRefusedError, inspect_image
from db.wanted import WantedImage
from tests.hostile_images import CORPUS, MIB, make, number, plain, qemu_img
from tests.unit.compute_agent.disks import test_disks
from tests.unit.compute_agent.servers import make_server

images = test_disks.cache
ROOT = Path(__file__).parents[4]


def said_size(path: Path, declared: str) -> int:
    """What an attacker's record would say that a guest sees."""
    size = path.stat().st_size
    return number(path, 24, "Q") if declared == "qcow2" and size >= 32 else size


@pytest.mark.parametrize("name", CORPUS)
def test_security_corpus_is_refused_on_the_host(tmp_path: Path, name: str) -> None:
    path = tmp_path / "image"
    declared = make(name, path)
    with pytest.raises(ImageRefusedError):
        inspect_image(path, declared)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    size = path.stat().st_size
    image = WantedImage(1, checksum, declared, size, said_size(path, declared))
    with pytest.raises(Fatal, match="is refused"):
        cache._check(image, path)
    assert not path.exists()


@pytest.mark.parametrize("options", ["compression_type=zlib", "compat=0.10", "cluster_size=2M"])
def test_sound_images_are_taken(tmp_path: Path, options: str) -> None:
    raw, path = tmp_path / "raw", tmp_path / "image"
    raw.write_bytes(bytes(range(256)) * 40_000)
    words = ["-c"] if "compression" in options else []
    qemu_img("convert", *words, "-f", "raw", "-O", "qcow2", "-o", options, raw, path)
    assert inspect_image(path, "qcow2").virtual_size == raw.stat().st_size


def test_security_row_5_compression_bomb(images: Any, tmp_path: Path) -> None:
    """A small file that would be 1 GiB: it stays as small, the guest's disk lies on top of it."""
    raw, bomb = tmp_path / "raw", tmp_path / "bomb"
    with raw.open("wb") as file:
        for _ in range(64):
            file.write(b"\x5a" * MIB)
        file.truncate(1024 * MIB)
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", raw, bomb)
    raw.unlink()
    checksum = hashlib.sha256(bomb.read_bytes()).hexdigest()
    bomb.rename(images.directory / checksum)
    size = (images.directory / checksum).stat().st_size
    image = WantedImage(3, checksum, "qcow2", size, 1024 * MIB)
    disks.build(make_server(image=image), images)
    root = places.server_directory(42) / places.ROOT_DISK
    assert (root.stat().st_blocks + (images.directory / checksum).stat().st_blocks) * 512 < 8 * MIB


class TestGuestsHeader:
    """Row 4: what a guest writes into its disk is data, whatever it looks like."""

    EVIL = b"QFI\xfb" + struct.pack(">IQI", 3, 512, 11) + bytes(492) + b"/etc/shadow"

    def write_into(self, root: Path) -> None:
        evil = root.with_suffix(".evil")
        evil.write_bytes(self.EVIL.ljust(4096, b"\0"))
        subprocess.run(
            ["qemu-io", "-f", "qcow2", "-c", f"write -s {evil} 0 4096", root],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        evil.unlink()

    def first_bytes(self, root: Path) -> bytes:
        raw = root.with_suffix(".raw")
        qemu_img("convert", "-f", "qcow2", "-O", "raw", root, raw)
        found = raw.read_bytes()[: len(self.EVIL)]
        raw.unlink()
        return found

    def test_security_row_4_survives_a_second_build(self, images: Any) -> None:
        server = make_server()
        disks.build(server, images)
        root = places.server_directory(server.id) / places.ROOT_DISK
        self.write_into(root)
        disks.build(server, images)
        assert self.first_bytes(root) == self.EVIL
        assert Path(disks.info(root)["backing-filename"]).name == server.image.checksum

    def test_security_row_4_is_gone_after_rebuild(self, images: Any) -> None:
        server = make_server()
        disks.build(server, images)
        root = places.server_directory(server.id) / places.ROOT_DISK
        self.write_into(root)
        disks.rebuild(server, images)
        assert self.first_bytes(root) == bytes(len(self.EVIL))

    def test_security_row_4_survives_a_snapshot(self, images: Any) -> None:
        """The copy stands alone, the store takes it, and the same bytes are in it."""
        server = make_server()
        disks.build(server, images)
        root = places.server_directory(server.id) / places.ROOT_DISK
        self.write_into(root)
        snapshot.take(server.id, 7, lambda *_: False, lambda *_: None)
        copy = snapshot.path_of(server.id, 7)
        assert inspect_image(copy, "qcow2").virtual_size == server.image.virtual_size
        assert self.first_bytes(copy) == self.EVIL


def calls_of_qemu_img(path: Path) -> list[list[str]]:
    """The constant words of every call in a module; those that pass on another's words left out."""
    calls = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("_qemu_img", "run"):
            words = node.args
        elif isinstance(node, ast.List):
            words = node.elts
        else:
            continue
        if len(words) == 1 and isinstance(words[0], ast.List):
            words = words[0].elts
        constants = [str(word.value) for word in words if isinstance(word, ast.Constant)]
        ours = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_qemu_img"
        passed_on = any(isinstance(word, ast.Starred | ast.Name) for word in words[:2])
        if (ours or constants[:1] == ["qemu-img"]) and not passed_on:
            calls.append(constants)
    return calls


def test_security_row_4_no_qemu_img_without_a_format() -> None:
    """Every call that opens a file says what it is; nothing is left to qemu's guess."""
    calls = {
        (path.name, *words)
        for package in ("api", "compute_agent", "db", "deploy", "scheduler")
        for path in (ROOT / package).rglob("*.py")
        for words in calls_of_qemu_img(path)
    }
    assert len(calls) >= 7
    assert [words for words in calls if "-f" not in words] == []
    for script in (ROOT / "deploy").rglob("*.sh"):
        lines = re.findall(r"^.*qemu-(?:img|nbd|io)\s.*$", script.read_text(), re.MULTILINE)
        assert [line for line in lines if " -f " not in line] == []


class TestBounds:
    """Row 6: programs that read a stranger's file have a bound of memory, time and output."""

    def test_security_row_6_memory(self, tmp_path: Path) -> None:
        limits = process.Limits(address_space=1 << 28, cpu_seconds=5)
        with pytest.raises(HostFault):
            process.run(["python3", "-c", "b = bytearray(1 << 29)"], timeout=30, limits=limits)

    def test_security_row_6_processor_time(self) -> None:
        limits = process.Limits(address_space=1 << 30, cpu_seconds=1)
        with pytest.raises(HostFault):
            process.run(["python3", "-c", "while True: pass"], timeout=60, limits=limits)

    def test_security_row_6_time(self) -> None:
        with pytest.raises(Retry, match="did not end"):
            process.run(["sleep", "30"], timeout=0.2, limits=process.QEMU_IMG)

    def test_security_row_6_every_qemu_img_of_the_agent_is_bounded(
        self,
        images: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        seen: list[tuple[list[str], object, float]] = []
        real = process.run

        def run(argv: list[str], **how: Any) -> str:
            seen.append((argv, how.get("limits"), how["timeout"]))
            return real(argv, **how)

        monkeypatch.setattr(process, "run", run)
        disks.build(make_server(disk_gb=1), images)
        mine = [one for one in seen if one[0][0] == "qemu-img"]
        assert len(mine) >= 4
        assert all(limits is not None and timeout <= 60 for _, limits, timeout in mine)


def test_corpus_is_made_of_what_would_be_taken(tmp_path: Path) -> None:
    """The file that most of the corpus is made from is itself sound."""
    plain(tmp_path / "image")
    assert inspect_image(tmp_path / "image", "qcow2").virtual_size == 64 * MIB
