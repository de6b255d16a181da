"""Files that are no images, or dangerous ones: each is refused wherever bytes come in.

Generated, so that nothing dangerous lies in the repository. Security rows 1 to 6.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Hostile:
    """One file: its security row, what it is declared to be, and how it is made."""

    row: int
    name: str
    declared: str  # raw or qcow2
    make: Callable[[Path], None]

    def __str__(self) -> str:
        return f"row_{self.row}_{self.name}"


def qemu_img(*words: object) -> None:
    """Run qemu-img."""
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, timeout=60)


def _created(layout: str, *options: str, size: str = "4M") -> Callable[[Path], None]:
    def make(path: Path) -> None:
        qemu_img("create", "-q", "-f", layout, *options, path, size)

    return make


def _patched(offset: int, data: bytes) -> Callable[[Path], None]:
    """A good qcow2 with other bytes at an offset."""

    def make(path: Path) -> None:
        qemu_img("create", "-q", "-f", "qcow2", path, "4M")
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    return make


def _with_snapshot(path: Path) -> None:
    qemu_img("create", "-q", "-f", "qcow2", path, "4M")
    qemu_img("snapshot", "-c", "inside", path)


def _cut(path: Path) -> None:
    qemu_img("create", "-q", "-f", "qcow2", path, "4M")
    with path.open("r+b") as file:
        file.truncate(66_000)


def _data_file(path: Path) -> None:
    data = path.with_suffix(".data")
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={data},data_file_raw=on", path, "4M")


def _flat_descriptor(path: Path) -> None:
    path.write_text(
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
        'createType="monolithicFlat"\nRW 20480 FLAT "/etc/shadow" 0\n' + " " * 1024
    )


def _luks(path: Path) -> None:
    path.write_bytes(b"LUKS\xba\xbe" + struct.pack(">H", 1) + bytes(MIB))


def _disk_that_is_iso_and_qcow2(path: Path) -> None:
    """Programs that look at different places take it for different things."""
    qemu_img("create", "-q", "-f", "qcow2", path, "64M")
    with path.open("r+b") as file:
        file.truncate(MIB)
        file.seek(32 * 1024)
        file.write(b"\x01CD001\x01")
        file.seek(34 * 1024)
        file.write(b"\xffCD001\x01")


HOSTILE = (
    Hostile(1, "data_file", "qcow2", _data_file),
    Hostile(1, "backing_file", "qcow2", _created("qcow2", "-u", "-F", "raw", "-b", "/etc/shadow")),
    Hostile(1, "backing_nbd", "qcow2", _created("qcow2", "-u", "-F", "raw", "-b", "nbd:[::1]:1")),
    Hostile(1, "backing_json", "qcow2",
            _created("qcow2", "-u", "-F", "raw", "-b", 'json:{"driver":"file","filename":"/x"}')),
    Hostile(1, "unknown_feature", "qcow2", _patched(72, struct.pack(">Q", 1 << 40))),
    *(Hostile(2, f"raw_that_is_{layout}", "raw", _created(layout))
      for layout in ("qcow2", "vmdk", "vdi", "vpc", "vhdx", "qed")),
    Hostile(2, "raw_that_is_luks", "raw", _luks),
    *(Hostile(2, f"qcow2_that_is_{layout}", "qcow2", _created(layout))
      for layout in ("raw", "vmdk", "vdi", "vhdx")),
    Hostile(2, "iso_and_qcow2", "qcow2", _disk_that_is_iso_and_qcow2),
    Hostile(3, "flat_descriptor", "raw", _flat_descriptor),
    Hostile(3, "flat_descriptor_as_qcow2", "qcow2", _flat_descriptor),
    Hostile(5, "exabytes", "qcow2", _patched(24, struct.pack(">Q", 1 << 60))),
    Hostile(5, "no_size", "qcow2", _patched(24, bytes(8))),
    Hostile(6, "many_l1_entries", "qcow2", _patched(36, struct.pack(">I", 0xFFFFFFFF))),
    Hostile(6, "l1_table_elsewhere", "qcow2", _patched(40, struct.pack(">Q", 1 << 50))),
    Hostile(6, "huge_refcount_table", "qcow2", _patched(56, struct.pack(">I", 0x7FFFFFFF))),
    Hostile(6, "no_such_cluster_size", "qcow2", _patched(20, struct.pack(">I", 63))),
    Hostile(6, "internal_snapshot", "qcow2", _with_snapshot),
    Hostile(6, "snapshot_table_bomb", "qcow2", _patched(60, struct.pack(">I", 65_536))),
    Hostile(2, "encrypted", "qcow2", _patched(32, struct.pack(">I", 1))),
    Hostile(6, "cut_off", "qcow2", _cut),
    Hostile(6, "noise", "qcow2", _patched(4, b"\xff" * 500)),
)  # fmt: skip
