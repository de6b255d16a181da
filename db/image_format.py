"""What an image file really is, whatever its owner says.

Asked when an image is registered and again on every host that is to boot from it. Only raw disks
and self-contained qcow2 are taken; a file that any program could take for another format than the
declared one is refused, and so is a qcow2 that names another file (backing file, data file), has
features that are unknown here, or tables that are not sound (OSSA-2024-001, -2024-002, -2023-002,
-2016-012). The file is read once, from beginning to end, the tables of a qcow2 twice, and nothing
in it is executed or followed.
"""

from dataclasses import dataclass
from pathlib import Path

from oslo_utils.imageutils import format_inspector

from db import qcow2

_IN_RAW = frozenset({"raw", "gpt"})  # what may be found in a raw disk: a partition table
_CHUNK = 64 * 1024


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
    if path.stat().st_size == 0:
        raise ImageRefusedError("it is empty")
    found = _matching(path)
    if declared_format == "raw":
        if disguised := sorted(set(found) - _IN_RAW):
            raise ImageRefusedError(f"declared raw, but it is {' and '.join(disguised)}")
        if path.stat().st_size > qcow2.LARGEST_DISK:
            raise ImageRefusedError(f"it is larger than {qcow2.LARGEST_DISK} bytes")
        return ImageFacts("raw", path.stat().st_size)
    if set(found) != {"qcow2"}:
        raise ImageRefusedError(f"declared qcow2, but it is {' and '.join(sorted(found))}")
    size = _checked_qcow2(found["qcow2"])
    try:
        qcow2.check(path)
    except qcow2.UnsoundError as error:
        raise ImageRefusedError(f"qcow2 is not sound: {error}") from error
    return ImageFacts("qcow2", size)


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
    return int(inspector.virtual_size)
