"""Hostile image files are refused, at registration and on the host."""

import struct
import subprocess
from pathlib import Path

import pytest

from db.image_format import ImageRefusedError, inspect_image

MIB = 1024 * 1024


def qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, timeout=30)


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

    def test_empty_file_is_raw(self, tmp_path: Path) -> None:
        path = tmp_path / "raw"
        path.touch()
        assert inspect_image(path, "raw").virtual_size == 0


class TestHostileImages:
    @pytest.mark.parametrize("format_name", ["vmdk", "vdi", "vpc", "vhdx", "qed", "qcow2"])
    def test_security_2_raw_that_is_something_else(self, tmp_path: Path, format_name: str) -> None:
        path = tmp_path / "image"
        qemu_img("create", "-q", "-f", format_name, path, "4M")
        with pytest.raises(ImageRefusedError, match="declared raw, but it is"):
            inspect_image(path, "raw")

    def test_security_3_vmdk_descriptor(self, tmp_path: Path) -> None:
        path = tmp_path / "image"
        path.write_text(
            "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
            'createType="monolithicFlat"\nRW 20480 FLAT "/etc/shadow" 0\n' + " " * 1024
        )
        with pytest.raises(ImageRefusedError, match="vmdk"):
            inspect_image(path, "raw")

    def test_security_3_only_raw_and_qcow2(self, tmp_path: Path) -> None:
        path = tmp_path / "image"
        qemu_img("create", "-q", "-f", "vmdk", path, "4M")
        with pytest.raises(ImageRefusedError, match="raw or qcow2, not vmdk"):
            inspect_image(path, "vmdk")

    def test_security_2_qcow2_that_is_raw(self, tmp_path: Path) -> None:
        path = tmp_path / "image"
        path.write_bytes(b"\0" * MIB)
        with pytest.raises(ImageRefusedError, match="declared qcow2, but it is raw"):
            inspect_image(path, "qcow2")

    def test_qcow2_with_backing_file(self, tmp_path: Path, qcow2: Path) -> None:
        path = tmp_path / "overlay"
        qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", qcow2, path)
        with pytest.raises(ImageRefusedError, match="backing_file"):
            inspect_image(path, "qcow2")

    def test_security_1_qcow2_with_data_file(self, tmp_path: Path) -> None:
        path = tmp_path / "image"
        data = tmp_path / "data"
        qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={data}", path, "4M")
        with pytest.raises(ImageRefusedError, match="data_file"):
            inspect_image(path, "qcow2")

    def test_qcow2_with_unknown_feature(self, qcow2: Path) -> None:
        with qcow2.open("r+b") as file:
            file.seek(72)
            file.write(struct.pack(">Q", 1 << 40))
        with pytest.raises(ImageRefusedError, match="unknown_features"):
            inspect_image(qcow2, "qcow2")

    def test_qcow2_with_encryption(self, qcow2: Path) -> None:
        with qcow2.open("r+b") as file:
            file.seek(32)
            file.write(struct.pack(">I", 1))
        with pytest.raises(ImageRefusedError, match="encrypted"):
            inspect_image(qcow2, "qcow2")

    def test_truncated_header(self, qcow2: Path) -> None:
        with qcow2.open("r+b") as file:
            file.truncate(40)
        with pytest.raises(ImageRefusedError):
            inspect_image(qcow2, "qcow2")
