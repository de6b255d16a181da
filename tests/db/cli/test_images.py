"""``undercast image``: bytes come into the store inspected, once per checksum (R156-R159, D43)."""

from __future__ import annotations

import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from db.image_store.directory import Directory
from db.queries import images_admin, server_changes
from db.queries.images_admin import NewImage
from deploy.cli import image, store
from tests.db.cli.conftest import Undercast
from tests.db.world import World
from tests.hostile_images import CORPUS, make


def raw(path: Path, fill: bytes = b"disk", size: int = 64 * 1024) -> Path:
    path.write_bytes((fill * size)[:size])
    return path


def qcow2(path: Path, *options: str) -> Path:
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", *options, path, "64M"], check=True, timeout=30
    )
    return path


def stored(undercast: Undercast) -> list[str]:
    """Names in the store; nothing half copied is left."""
    return sorted(path.name for path in undercast.store.glob("*") if path.is_file()) + sorted(
        path.name for path in undercast.store.glob(".*")
    )


def metadata(rows_of: Any, image_id: int) -> dict[str, tuple[str, bool]]:
    rows = rows_of("SELECT key, value, system FROM image_metadata WHERE image_id = :i", i=image_id)
    return {row.key: (row.value, row.system) for row in rows}


class TestRegister:
    def test_a_raw_disk(self, undercast: Undercast, tmp_path: Path, world: World) -> None:
        source = raw(tmp_path / "disk")
        made = undercast.json(
            "image", "register", source, "--name", "Debian 12", "--property", "os=debian",
            "--property", "architecture=arm", "--min-ram", 128, "--min-disk", 1,
        )  # fmt: skip
        checksum = hashlib.sha256(source.read_bytes()).hexdigest()
        assert (made["checksum"], made["size"], made["virtual_size"]) == (checksum, 65536, 65536)
        assert (made["status"], made["disk_format"], made["kind"]) == ("ACTIVE", "raw", "machine")
        assert (made["min_ram_mb"], made["min_disk_gb"], made["tenant_id"]) == (128, 1, None)
        assert (undercast.store / checksum).read_bytes() == source.read_bytes()
        assert stored(undercast) == [checksum]
        items = metadata(world.rows, made["id"])
        assert items["os"] == ("debian", False)
        assert items["architecture"] == ("arm", True)
        assert items["image_location"] == ("local", True)
        assert items["image_state"] == ("available", True)
        assert items["hp_image_type"] == ("disk", True)
        assert items["hp_md_version"] == ("1", True)
        assert {"hp_image_id", "hp_image_version", "hp_image_builddate"} <= set(items)

    def test_a_qcow2_is_detected(self, undercast: Undercast, tmp_path: Path) -> None:
        made = undercast.json("image", "register", qcow2(tmp_path / "q"), "--name", "q")
        assert (made["disk_format"], made["virtual_size"]) == ("qcow2", 64 * 2**20)

    def test_from_stdin(self, undercast: Undercast) -> None:
        made = undercast.json("image", "register", "-", "--name", "piped", input=b"x" * 5000)
        assert made["size"] == 5000
        assert stored(undercast) == [made["checksum"]]

    def test_with_kernel_and_ramdisk(
        self, undercast: Undercast, tmp_path: Path, world: World
    ) -> None:
        kernel, ramdisk = (
            undercast.json(
                "image", "register", raw(tmp_path / kind, kind.encode()), "--name", kind,
                "--kind", kind,
            )["id"]
            for kind in ("kernel", "ramdisk")
        )  # fmt: skip
        words = ("image", "register", raw(tmp_path / "disk"), "--name", "machine")
        made = undercast.json(*words, "--kernel", kernel, "--ramdisk", ramdisk)
        assert (made["kernel_id"], made["ramdisk_id"]) == (kernel, ramdisk)
        assert metadata(world.rows, made["id"])["hp_image_type"] == ("machine", True)
        assert metadata(world.rows, kernel)["hp_image_type"] == ("kernel", True)
        undercast.refused(1, *words, "--kernel", ramdisk)
        undercast.refused(3, *words, "--kernel", 99)
        assert "boots other images" in undercast.refused(1, "image", "delete", kernel)
        undercast.json("image", "delete", made["id"])
        undercast.json("image", "delete", kernel)

    def test_the_same_bytes_are_stored_once(self, undercast: Undercast, tmp_path: Path) -> None:
        source = raw(tmp_path / "disk")
        first, second = (
            undercast.json("image", "register", source, "--name", name) for name in ("a", "b")
        )
        assert first["id"] != second["id"]
        assert stored(undercast) == [first["checksum"]]

    def test_larger_than_the_zones_root_disks(self, undercast: Undercast, tmp_path: Path) -> None:
        undercast.json("zone", "create", "az-2", "--root-gb", 1)
        large = tmp_path / "large"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", large, "2G"], check=True, timeout=30
        )
        said = undercast.refused(1, "image", "register", large, "--name", "large", "--zone", "az-2")
        assert "root disks in az-2 have 1 GB" in said
        assert stored(undercast) == []

    @pytest.mark.parametrize(
        "words",
        [["--property", "novalue"], ["--property", "=x"], ["--disk-format", "vmdk"],
         ["--property", "kernel_id=77"], ["--property", "image_type=snapshot"], ["--ramdisk", 2],
         ["--kind", "kernel", "--kernel", 1], ["--kind", "ramdisk", "--disk-format", "qcow2"]],
    )  # fmt: skip
    def test_wrong_usage(self, undercast: Undercast, tmp_path: Path, words: list[object]) -> None:
        source = raw(tmp_path / "disk")
        assert undercast.run("image", "register", source, "--name", "x", *words).exit_code == 2

    def test_no_file(self, undercast: Undercast, tmp_path: Path) -> None:
        said = undercast.refused(1, "image", "register", tmp_path / "none", "--name", "x")
        assert "No such file" in said

    def test_an_empty_file(self, undercast: Undercast) -> None:
        assert "empty" in undercast.refused(1, "image", "register", "-", "--name", "x", input=b"")
        assert stored(undercast) == []


class TestSecurity:
    """Hostile files are refused before anything is stored (security: rows 1 to 5)."""

    def refused(self, undercast: Undercast, source: Path, *words: object) -> str:
        said = undercast.refused(1, "image", "register", source, "--name", "evil", *words)
        assert stored(undercast) == []
        assert undercast.json("image", "list") == []
        return said

    @pytest.mark.parametrize("name", CORPUS)
    def test_security_corpus_is_refused(
        self, undercast: Undercast, tmp_path: Path, name: str
    ) -> None:
        """Rows 1 to 6; with the declared format, and a raw one as a kernel too."""
        evil = tmp_path / "evil"
        declared = make(name, evil)
        self.refused(undercast, evil, "--disk-format", declared)
        if declared == "raw":
            self.refused(undercast, evil, "--kind", "kernel")

    def test_security_05_more_than_there_is_room(
        self, undercast: Undercast, tmp_path: Path
    ) -> None:
        huge = tmp_path / "huge"
        with huge.open("wb") as file:
            os.truncate(file.fileno(), 2**43)
        assert "room" in self.refused(undercast, huge)


class TestDelete:
    def test_the_last_one_takes_the_bytes(self, undercast: Undercast, tmp_path: Path) -> None:
        source = raw(tmp_path / "disk")
        first, second = (
            undercast.json("image", "register", source, "--name", name)["id"] for name in "ab"
        )
        undercast.json("image", "delete", first)
        assert len(stored(undercast)) == 1
        undercast.json("image", "delete", second)
        assert stored(undercast) == []
        assert undercast.json("image", "list") == []
        undercast.refused(3, "image", "delete", first)

    def test_a_live_server_keeps_them(
        self, undercast: Undercast, tmp_path: Path, world: World
    ) -> None:
        image = undercast.json("image", "register", raw(tmp_path / "disk"), "--name", "a")
        (server_id,) = world.create()
        world.rows("UPDATE servers SET image_id = :i RETURNING id", i=image["id"])
        undercast.json("image", "delete", image["id"])
        assert stored(undercast) == [image["checksum"]]
        again = undercast.json("image", "register", tmp_path / "disk", "--name", "a")
        with world.engine.begin() as conn:
            server_changes.forget(conn, server_id)
        undercast.json("image", "delete", again["id"])
        assert stored(undercast) == []

    def test_it_is_shown_no_more(self, undercast: Undercast, world: World) -> None:
        assert "mini" in undercast.table("image", "list")
        undercast.json("image", "delete", world.image)
        assert [row["id"] for row in undercast.json("image", "list")] == [world.other_image]


def test_registering_and_deleting_the_same_bytes_at_once(
    undercast: Undercast, tmp_path: Path, world: World
) -> None:
    """Whoever wins, every image that is listed has its bytes."""
    source = raw(tmp_path / "disk")

    def register(n: int) -> int:
        with store.copied(str(source), undercast.store) as incoming:
            return image.keep(
                incoming,
                NewImage(
                    zone_id=world.scope.zone_id, name=str(n), kind="machine", disk_format="raw",
                    size=incoming.size, virtual_size=incoming.size, checksum=incoming.checksum,
                ),
                Directory(undercast.store),
            )  # fmt: skip

    def remove(image_id: int) -> None:
        with world.engine.begin() as conn:
            checksum = images_admin.delete(conn, image_id)
        assert checksum
        image.drop_unneeded(checksum, Directory(undercast.store))

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(register, range(4)))
        for _ in range(5):
            removed = [pool.submit(remove, image_id) for image_id in ids]
            ids = list(pool.map(register, range(4)))
            for end in removed:
                end.result()
            assert len(stored(undercast)) == 1
        for image_id in ids:
            remove(image_id)
    assert stored(undercast) == []
