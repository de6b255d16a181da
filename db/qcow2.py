"""Whether a qcow2's tables are what a sound image of its size has, before any program opens it.

A hostile header can name tables of gigabytes, thousands of snapshots, or clusters that are not in
the file; a truncated file names clusters that it has lost. qemu-img would take memory and time for
the first and fail late for the second (OSSA-2016-012). All that is read here is bounded by the size
of the file: two entries that share a table are refused.
"""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LARGEST_DISK = 1 << 44  # bytes that a guest may see: 16 TiB
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQ")
_CLUSTER_BITS = range(9, 22)
_LARGEST_TABLE = 32 << 20  # bytes of an L1 or refcount table; qemu's own limit of the first
_OFFSET = 0x00FFFFFFFFFFFE00
_COMPRESSED = 1 << 62
_CORRUPT = 2  # incompatible feature bit


class UnsoundError(ValueError):
    """The text says what is wrong with the file."""


@dataclass(frozen=True, slots=True)
class _Header:
    magic: bytes
    version: int
    backing_offset: int
    backing_size: int
    cluster_bits: int
    size: int
    encryption: int
    l1_entries: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshots: int
    snapshots_offset: int
    features: int  # of version 3 only


def check(path: Path) -> None:
    """Raises UnsoundError for a file whose tables no image maker would write; OSError."""
    end = path.stat().st_size
    with path.open("rb") as file:
        data = file.read(_HEADER.size)
        if len(data) < _HEADER.size:
            raise UnsoundError("its header is cut off")
        header = _Header(*_HEADER.unpack(data))
        _check_header(header, end)
        _check_clusters(file, header, end)


def _check_header(header: _Header, end: int) -> None:
    if header.encryption:
        raise UnsoundError("it is encrypted")
    if header.size == 0:
        raise UnsoundError("it has no size")
    if header.size > LARGEST_DISK:
        raise UnsoundError(f"its disk of {header.size} bytes is larger than {LARGEST_DISK}")
    if header.version > 2 and header.features & _CORRUPT:
        raise UnsoundError("it is marked as corrupt")
    if header.snapshots:
        raise UnsoundError(f"it holds {header.snapshots} snapshots of its own")
    if header.cluster_bits not in _CLUSTER_BITS:
        raise UnsoundError(f"it has clusters of 2^{header.cluster_bits} bytes")
    span = 1 << (2 * header.cluster_bits - 3)  # bytes of the disk below one entry of L1
    if header.l1_entries < -(-header.size // span):
        raise UnsoundError("its L1 table is too short")
    _check_table("L1", header.l1_offset, header.l1_entries * 8, end)
    refcounts = header.refcount_clusters << header.cluster_bits
    if not refcounts:
        raise UnsoundError("it has no refcount table")
    _check_table("refcount", header.refcount_offset, refcounts, end)


def _check_table(name: str, offset: int, size: int, end: int) -> None:
    if size > _LARGEST_TABLE:
        raise UnsoundError(f"its {name} table has {size} bytes")
    if offset + size > end:
        raise UnsoundError(f"its {name} table is not in the file")


def _check_clusters(file: BinaryIO, header: _Header, end: int) -> None:
    """Every table and cluster that the image names is in the file, each table once."""
    cluster = 1 << header.cluster_bits
    tables = [
        entry & _OFFSET
        for entry in _numbers(file, header.l1_offset, header.l1_entries * 8)
        if entry & _OFFSET
    ]
    if len(set(tables)) < len(tables):
        raise UnsoundError("parts of its disk share a table")
    shift = 62 - (header.cluster_bits - 8)
    packed = (1 << shift) - 1  # the offset in an entry of a compressed cluster
    for table in sorted(tables):
        if table + cluster > end:
            raise UnsoundError("a table of it is not in the file")
        for entry in _numbers(file, table, cluster):
            if entry and (entry & (packed if entry & _COMPRESSED else _OFFSET)) >= end:
                raise UnsoundError("a part of its disk is not in the file")


def _numbers(file: BinaryIO, offset: int, size: int) -> array[int]:
    file.seek(offset)
    found = array("Q", file.read(size))
    if sys.byteorder == "little":
        found.byteswap()
    return found
