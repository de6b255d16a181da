"""What an image file really is, whatever its owner says.

Asked when an image is registered and again on every host that is to boot from it. Only raw disks
and self-contained qcow2 are taken; a file that any program could take for another format than the
declared one is refused, and so is a qcow2 that names another file (backing file, data file) or has
features that are unknown here (OSSA-2024-001, -2024-002, -2023-002). The file is read once, from
beginning to end, and nothing in it is executed or followed.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from oslo_utils.imageutils import format_inspector

#: What may be found in a raw disk: nothing known, a partition table, a CD. qemu reads none of them.
_IN_RAW = frozenset({"raw", "gpt", "iso"})
_CHUNK = 64 * 1024
#: qcow2 header: virtual size at 24, encryption, entries and offset of the L1 table, offset and
#: clusters of the refcount table, internal snapshots.
_HEADER = struct.Struct(">20xIQIIQQII")
LARGEST_DISK = 16 << 40  # bytes: as large as ext4 gets


class ImageRefusedError(ValueError):
    """The file is not what it is said to be, or is dangerous to open; the text says why."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What inspection found."""

    format: str  # "raw" or "qcow2"
    virtual_size: int  # bytes of the disk that a guest sees


def inspect_image(path: Path, declared_format: str) -> ImageFacts:
    """Facts of the image file at ``path``, which must be of ``declared_format``.

    Kernels and ramdisks are declared "raw". Raises ImageRefusedError, and OSError when the
    file cannot be read.
    """
    if declared_format not in ("raw", "qcow2"):
        raise ImageRefusedError(f"images are raw or qcow2, not {declared_format}")
    file_size = path.stat().st_size
    if file_size > LARGEST_DISK:
        raise ImageRefusedError(f"it has {file_size} bytes, and {LARGEST_DISK} is the most")
    found = _matching(path)
    if declared_format == "raw":
        if disguised := sorted(set(found) - _IN_RAW):
            raise ImageRefusedError(f"declared raw, but it is {' and '.join(disguised)}")
        return ImageFacts("raw", file_size)
    if set(found) != {"qcow2"}:
        raise ImageRefusedError(f"declared qcow2, but it is {' and '.join(sorted(found))}")
    return ImageFacts("qcow2", _checked_qcow2(found["qcow2"], file_size))


def _matching(path: Path) -> dict[str, format_inspector.FileInspector]:
    """Inspectors of all formats that the content matches, by name; "raw" when none does."""
    with path.open("rb") as file:
        wrapper = format_inspector.InspectWrapper(file)
        while wrapper.read(_CHUNK):
            pass
        wrapper.close()
    return {str(inspector): inspector for inspector in wrapper.formats or []}


def _checked_qcow2(inspector: format_inspector.FileInspector, file_size: int) -> int:
    """Virtual size of a qcow2 that stands alone. Raises ImageRefusedError for any other."""
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        raise ImageRefusedError(
            f"qcow2 is not safe: {', '.join(sorted(error.failures))}"
        ) from error
    except format_inspector.ImageFormatError as error:
        raise ImageRefusedError(f"qcow2 is damaged: {error}") from error
    header = _HEADER.unpack_from(inspector.region("header").data)
    cluster_bits, size, encryption, l1_size, l1_at, refcounts_at, refcount_clusters, snapshots = (
        header
    )
    if encryption:
        raise ImageRefusedError("qcow2 is encrypted")
    if size == 0:
        raise ImageRefusedError("qcow2 has no size")
    if size > LARGEST_DISK:
        raise ImageRefusedError(f"its disk has {size} bytes, and {LARGEST_DISK} is the most")
    if snapshots:
        raise ImageRefusedError("qcow2 has internal snapshots")
    if not 9 <= cluster_bits <= 21:
        raise ImageRefusedError("qcow2 is damaged: no such cluster size")
    tables = (l1_at + 8 * l1_size, refcounts_at + (refcount_clusters << cluster_bits))
    if max(tables) > file_size:
        raise ImageRefusedError("qcow2 is damaged: its tables lie beyond its end")
    return int(size)
