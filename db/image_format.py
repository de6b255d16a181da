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
_CRYPT_METHOD = slice(32, 36)  # of a qcow2 header


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
    found = _matching(path)
    if declared_format == "raw":
        if disguised := sorted(set(found) - _IN_RAW):
            raise ImageRefusedError(f"declared raw, but it is {' and '.join(disguised)}")
        return ImageFacts("raw", path.stat().st_size)
    if set(found) != {"qcow2"}:
        raise ImageRefusedError(f"declared qcow2, but it is {' and '.join(sorted(found))}")
    return ImageFacts("qcow2", _checked_qcow2(found["qcow2"]))


def _matching(path: Path) -> dict[str, format_inspector.FileInspector]:
    """Inspectors of all formats that the content matches, by name; "raw" when none does."""
    with path.open("rb") as file:
        wrapper = format_inspector.InspectWrapper(file)
        while wrapper.read(_CHUNK):
            pass
        wrapper.close()
    return {str(inspector): inspector for inspector in wrapper.formats or []}


def _checked_qcow2(inspector: format_inspector.FileInspector) -> int:
    """Virtual size of a qcow2 that stands alone. Raises ImageRefusedError for any other."""
    try:
        inspector.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        raise ImageRefusedError(
            f"qcow2 is not safe: {', '.join(sorted(error.failures))}"
        ) from error
    except format_inspector.ImageFormatError as error:
        raise ImageRefusedError(f"qcow2 is damaged: {error}") from error
    (encryption,) = struct.unpack(">I", inspector.region("header").data[_CRYPT_METHOD])
    if encryption:
        raise ImageRefusedError("qcow2 is encrypted")
    size = int(inspector.virtual_size)
    if size == 0:
        raise ImageRefusedError("qcow2 has no size")
    return size
