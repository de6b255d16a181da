"""Hostile image files are refused, at registration and on the host."""

import ast
import struct
import subprocess
from pathlib import Path

import pytest

from db import image_format
from db.image_format import ImageRefusedError, inspect_image
from tests.hostile_images import HOSTILE, MIB, Hostile, qemu_img
from tests.lab import REPO


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
    @pytest.mark.parametrize("hostile", HOSTILE, ids=str)
    def test_security_each_is_refused(self, tmp_path: Path, hostile: Hostile) -> None:
        """Rows 1 to 6."""
        path = tmp_path / "image"
        hostile.make(path)
        with pytest.raises(ImageRefusedError):
            inspect_image(path, hostile.declared)

    def test_security_row_3_only_raw_and_qcow2(self, tmp_path: Path) -> None:
        path = tmp_path / "image"
        qemu_img("create", "-q", "-f", "vmdk", path, "4M")
        with pytest.raises(ImageRefusedError, match="raw or qcow2, not vmdk"):
            inspect_image(path, "vmdk")

    @pytest.mark.parametrize(
        ("offset", "data", "said"),
        [
            (32, struct.pack(">I", 1), "encrypted"),
            (24, struct.pack(">Q", 1 << 60), "is the most"),
            (60, struct.pack(">I", 2), "internal snapshots"),
            (36, struct.pack(">I", 0xFFFFFFFF), "beyond its end"),
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


def test_security_row_5_a_file_of_petabytes_is_not_even_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(4097))
    monkeypatch.setattr(image_format, "LARGEST_DISK", 4096)
    with pytest.raises(ImageRefusedError, match="4096 is the most"):
        inspect_image(path, "raw")


def test_security_row_4_every_call_of_qemu_img_states_a_format() -> None:
    """A guest may write any header into its disk: no program of ours may ever guess."""
    calls = 0
    for path in (REPO / "compute_agent").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or _name(node) not in {"_qemu_img", "run"}:
                continue
            words = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
            if _name(node) == "run" and "qemu-img" not in words:
                continue
            if words and any(word in words for word in ("create", "convert", "info", "resize")):
                calls += 1
                assert "-f" in words, f"{path}:{node.lineno}"
    assert calls >= 5


def _name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
