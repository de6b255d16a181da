"""The corpus of hostile image files, each made anew: what was used against other clouds.

``CORPUS`` names them; a name begins with its row in the table of advisories (security design).
:func:`make` writes one. All are to be refused at registration, at upload and on the host.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

MIB = 1 << 20
Maker = Callable[[Path], str]  # writes the file, returns the format that is declared
CORPUS: dict[str, Maker] = {}


def make(name: str, path: Path) -> str:
    """Write the hostile file; the format that its owner declares."""
    return CORPUS[name](path)


def qemu_img(*words: object) -> None:
    """Run qemu-img as an attacker would."""
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, timeout=60)


def plain(path: Path, size: str = "64M") -> None:
    """A qcow2 with some bytes in it."""
    raw = path.with_suffix(".src")
    raw.write_bytes(bytes(range(1, 256)) * 4000)
    qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, path)
    qemu_img("resize", "-q", "-f", "qcow2", path, size)
    raw.unlink()


def patch(path: Path, offset: int, layout: str, *values: int) -> None:
    """Write numbers into a file, big-endian."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(struct.pack(f">{layout}", *values))


def number(path: Path, offset: int, layout: str) -> int:
    """Read one."""
    with path.open("rb") as file:
        file.seek(offset)
        (value,) = struct.unpack(f">{layout}", file.read(struct.calcsize(layout)))
    return int(value)


def _entry(name: str) -> Callable[[Maker], Maker]:
    def keep(maker: Maker) -> Maker:
        CORPUS[name] = maker
        return maker

    return keep


@_entry("row_1_data_file")
def _data_file(path: Path) -> str:
    data = path.with_suffix(".data")
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"data_file={data},data_file_raw=on", path, "4M")
    return "qcow2"


@_entry("row_1_backing_file")
def _backing_file(path: Path) -> str:
    qemu_img("create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", path, "4M")
    return "qcow2"


@_entry("row_1_backing_of_json")
def _backing_json(path: Path) -> str:
    target = 'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/shadow"}}'
    qemu_img("create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", target, path, "4M")
    return "qcow2"


def _other_format(layout: str) -> Maker:
    def write(path: Path) -> str:
        qemu_img("create", "-q", "-f", layout, path, "4M")
        return "raw"

    return write


for _layout in ("qcow2", "vmdk", "vdi", "vpc", "vhdx", "qed"):
    CORPUS[f"row_2_raw_is_{_layout}"] = _other_format(_layout)


@_entry("row_2_raw_is_luks")
def _luks(path: Path) -> str:
    header = b"LUKS\xba\xbe" + struct.pack(">H", 1) + b"aes".ljust(32, b"\0")
    path.write_bytes(header + b"cbc-essiv:sha256".ljust(32, b"\0") + bytes(4 * MIB))
    return "raw"


@_entry("row_2_raw_is_iso")
def _iso(path: Path) -> str:
    path.write_bytes(bytes(32768) + b"\x01CD001\x01\0" + bytes(MIB))
    return "raw"


@_entry("row_2_partitions_and_qcow2")
def _gpt_and_qcow2(path: Path) -> str:
    plain(path)
    with path.open("r+b") as file:
        file.seek(446)
        file.write(struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff" * 3, 1, 0xFFFFFFFF))
        file.seek(510)
        file.write(b"\x55\xaa")
    return "raw"


@_entry("row_2_iso_and_qcow2")
def _iso_and_qcow2(path: Path) -> str:
    plain(path)
    with path.open("r+b") as file:
        file.seek(32768)
        file.write(b"\x01CD001\x01\0")
    return "qcow2"


@_entry("row_2_qcow2_is_raw")
def _raw(path: Path) -> str:
    path.write_bytes(b"disk" * MIB)
    return "qcow2"


@_entry("row_3_vmdk_descriptor")
def _descriptor(path: Path) -> str:
    path.write_text(
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
        'createType="monolithicFlat"\nRW 20480 FLAT "/etc/shadow" 0\n' + " " * 1024
    )
    return "raw"


@_entry("row_3_vmdk_flat")
def _flat(path: Path) -> str:
    qemu_img("create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", path, "4M")
    return "raw"


@_entry("row_5_huge_disk")
def _huge(path: Path) -> str:
    qemu_img("create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", path, 1 << 50)
    return "qcow2"


@_entry("row_5_no_size")
def _no_size(path: Path) -> str:
    qemu_img("create", "-q", "-f", "qcow2", path, 0)
    return "qcow2"


@_entry("row_5_empty")
def _empty(path: Path) -> str:
    path.touch()
    return "raw"


@_entry("row_5_cut_in_half")
def _half(path: Path) -> str:
    plain(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    return "qcow2"


@_entry("row_5_cut_in_the_header")
def _stump(path: Path) -> str:
    plain(path)
    with path.open("r+b") as file:
        file.truncate(60)
    return "qcow2"


@_entry("row_6_snapshots")
def _snapshots(path: Path) -> str:
    plain(path)
    qemu_img("snapshot", "-c", "one", path)
    return "qcow2"


@_entry("row_6_huge_l1_of_holes")
def _l1_holes(path: Path) -> str:
    plain(path)
    patch(path, 36, "I", 1 << 26)
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    return "qcow2"


@_entry("row_6_shared_tables")
def _shared(path: Path) -> str:
    """Small file, large disk: every part of it is the same table (a bomb of 512 MiB each)."""
    plain(path, "32G")
    l1 = number(path, 40, "Q")
    table = number(path, l1, "Q")
    patch(path, l1, "64Q", *[table] * 64)
    return "qcow2"


@_entry("row_6_clusters_elsewhere")
def _elsewhere(path: Path) -> str:
    plain(path)
    table = number(path, number(path, 40, "Q"), "Q") & 0x00FFFFFFFFFFFE00
    patch(path, table, "Q", 1 << 63 | 1 << 40)
    return "qcow2"


def _patched(offset: int, layout: str, value: int) -> Maker:
    """A good qcow2 with another number in its header."""

    def write(path: Path) -> str:
        plain(path)
        patch(path, offset, layout, value)
        return "qcow2"

    return write


CORPUS.update(
    {
        "row_2_encrypted": _patched(32, "I", 2),
        "row_6_a_million_snapshots": _patched(60, "I", 1_000_000),
        "row_6_huge_l1": _patched(36, "I", 0x7FFFFFFF),
        "row_6_huge_refcount_table": _patched(56, "I", 0x7FFFFFFF),
        "row_6_huge_clusters": _patched(20, "I", 60),
        "row_6_marked_corrupt": _patched(72, "Q", 2),
        "row_1_unknown_feature": _patched(72, "Q", 1 << 40),
    }
)
