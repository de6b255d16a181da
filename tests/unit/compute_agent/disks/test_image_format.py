"""Hostile image files are refused, at registration and on the host."""

import struct
import subprocess
from pathlib import Path

import pytest

from db.image_format import ImageRefusedError, inspect_image
from tests.hostile_images import MIB, qemu_img


@pytest.fixture
def qcow2(tmp_path: Path) -> Path:
    path = tmp_path / "plain.qcow2"
    qemu_img("create", "-q", "-f", "qcow2", path, "10M")
    return path


class TestGoodImages:
    def test_qcow2(self, qcow2: Path) -> None:
        facts = inspect_image(qcow2, "qcow2")
        assert (facts.format, facts.virtual_size) == ("qcow2", 10 * MIB)

    def test_raw_of_any_content(self, tmp_path: Path) -> None:
        path = tmp_path / "raw"
        path.write_bytes(b"\0" * 1000)
        facts = inspect_image(path, "raw")
        assert (facts.format, facts.virtual_size) == ("raw", 1000)

    def test_raw_with_a_partition_table(self, tmp_path: Path) -> None:
        path = tmp_path / "raw"
        path.write_bytes(b"\0" * 2 * MIB)
        subprocess.run(["sfdisk", "-q", path], input=b"2048,,L,*\n", check=True, timeout=30)
        assert inspect_image(path, "raw").virtual_size == 2 * MIB


class TestHostileImages:
    def test_security_row_3_only_raw_and_qcow2(self, tmp_path: Path) -> None:
        path = tmp_path / "image"
        qemu_img("create", "-q", "-f", "vmdk", path, "4M")
        with pytest.raises(ImageRefusedError, match="raw or qcow2, not vmdk"):
            inspect_image(path, "vmdk")

    @pytest.mark.parametrize(
        ("offset", "data", "said"),
        [
            (32, struct.pack(">I", 1), "encrypted"),
            (24, struct.pack(">Q", 1 << 60), "is larger than"),
            (60, struct.pack(">I", 2), "snapshots of its own"),
            (36, struct.pack(">I", 0xFFFFFFFF), "L1 table has"),
            (72, struct.pack(">Q", 1 << 40), "unknown_features"),
        ],
    )
    def test_the_reason_is_said(self, qcow2: Path, offset: int, data: bytes, said: str) -> None:
        with qcow2.open("r+b") as file:
            file.seek(offset)
            file.write(data)
        with pytest.raises(ImageRefusedError, match=said):
            inspect_image(qcow2, "qcow2")

    def test_truncated_header(self, qcow2: Path) -> None:
        with qcow2.open("r+b") as file:
            file.truncate(40)
        with pytest.raises(ImageRefusedError):
            inspect_image(qcow2, "qcow2")
