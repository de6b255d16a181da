"""An image of a server's root disk: one qcow2 that stands alone, made on the host.

A running guest's disk is copied by qemu itself as it was at one moment (a libvirt backup), while
the guest goes on writing to the disk that it had; a guest that is off is copied by qemu-img. In
both cases the guest's disk and the shared image below it are only read, so there is nothing to be
mended when the agent, libvirtd or the host dies half way: the half-made copy is thrown away.

Rejected: an external snapshot that is merged back by blockcommit. It moves the guest to another
file for as long as the copy takes; whoever dies meanwhile leaves a disk in two halves, and a commit
one level too deep writes into the image that all guests share.

The copy has its name, ``snapshot-<image>.qcow2``, when it is complete and checked.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from compute_agent import process
from compute_agent.disks import disks, places
from compute_agent.driver import Still
from compute_agent.errors import HostFault

BackUp = Callable[[Path, Still], bool]  # copies the running guest's disk; False: no guest runs

_COPY_TIMEOUT = 4 * 3600.0  # seconds
_TIMEOUT = 60.0
_PERCENT = re.compile(r"\(([0-9.]+)/100%\)")


def path_of(server_id: int, image_id: int) -> Path:
    """Where the copy for an image is, once it is complete."""
    return places.server_directory(server_id) / f"snapshot-{image_id}.qcow2"


def leftovers(server_id: int) -> list[Path]:
    """All copies, complete or not, of a server's disk."""
    return list(places.server_directory(server_id).glob("snapshot-*"))


def copied_servers() -> set[int]:
    """Ids of the servers here of whose disks there are copies."""
    return {int(path.parent.name) for path in places.servers_directory().glob("[0-9]*/snapshot-*")}


def discard(server_id: int) -> None:
    """No copy of the server's disk is left."""
    for path in leftovers(server_id):
        path.unlink(missing_ok=True)


def take(server_id: int, image_id: int, back_up: BackUp, still: Still) -> None:
    """Make the copy. Raises HostFault, Retry and what ``still`` raises."""
    final = path_of(server_id, image_id)
    if final.exists():
        return
    discard(server_id)
    root = places.server_directory(server_id) / places.ROOT_DISK
    size = int(disks.info(root)["virtual-size"])
    _check_room(final.parent, size)
    new = final.with_suffix(".new")
    _qemu_img(["create", "-q", "-f", "qcow2", str(new), str(size)])
    places.give_to_qemu(new)
    if not back_up(new, still):
        process.run(
            ["qemu-img", "convert", "-p", "-f", "qcow2", "-O", "qcow2", str(root), str(new)],
            timeout=_COPY_TIMEOUT, limits=process.COPY,
            still=lambda said: still(_share(said)),
        )  # fmt: skip
    _verify(new, size)
    places.publish(new, final)


def _share(said: str) -> float:
    """How much is copied, from 0 to 1, by what ``qemu-img -p`` wrote so far."""
    told = _PERCENT.findall(said)
    return float(told[-1]) / 100 if told else 0.0


def _check_room(directory: Path, size: int) -> None:
    """Guests whose host has no room left stand still, so the whole copy must fit beforehand."""
    free = shutil.disk_usage(directory).free
    if free < size:
        raise HostFault(f"{size} bytes for a snapshot do not fit: {free} are free")


def _verify(new: Path, size: int) -> None:
    facts = disks.info(new)
    found = (facts["virtual-size"], facts.get("backing-filename"))
    if found != (size, None):
        raise HostFault(f"{new} is {found}, not {(size, None)}")


def _qemu_img(words: list[str]) -> None:
    process.run(["qemu-img", *words], timeout=_TIMEOUT, limits=process.QEMU_IMG)
