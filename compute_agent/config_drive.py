"""Configuration drives: a disk with a FAT file system in place of files in the root (R193-R195).

Layout 1 is the reference's: label ``config``; ``meta.js``, ``root/.ssh/authorized_keys`` and the
client's files at their paths (wire notes 5.5). The layout ``both`` has that of OpenStack 2012.2 on
the same drive, under the label ``config-2`` by which images of today find it.

FAT knows fewer names than a guest's root: what has none, or differs from another path by case only,
is left out, and the timeline says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from compute_agent import process
from compute_agent.disks import places
from compute_agent.errors import HostFault
from compute_agent.guest_files import (
    KEYS,
    META,
    GuestFile,
    Injected,
    key_text,
    meta_js,
    personality,
)
from compute_agent.metadata.ec2 import ec2_tree
from compute_agent.metadata.openstack import openstack_tree
from db.settings import settings
from db.wanted import WantedServer

LABELS = {"1": "config", "both": "config-2"}
_MIB = 1024 * 1024
_LEAST = 64 * _MIB  # FAT32 has 65,525 clusters at the least
_TIMEOUT = 60.0  # seconds for one program
_NOT_IN_FAT = frozenset('"*/:<>?\\|')


def is_wanted(server: WantedServer) -> bool:
    """Whether the server has a configuration drive."""
    return server.config_drive and not server.windows


def contents(server: WantedServer) -> list[GuestFile]:
    """Files that belong on the server's drive."""
    files = [GuestFile(META, meta_js(server))]
    if server.public_key:
        files.append(GuestFile(KEYS, key_text(server.public_key)))
    return files + trees(server) + personality(server)


def trees(server: WantedServer) -> list[GuestFile]:
    """What the layout of OpenStack 2012.2 adds."""
    if settings().config_drive_layout != "both":
        return []
    found = openstack_tree(server, drive=True) | ec2_tree(server)
    return [GuestFile(f"/{path}", data) for path, data in found.items()]


def fitting(files: Sequence[GuestFile]) -> tuple[list[GuestFile], dict[str, str]]:
    """Choose the files that a FAT file system can hold side by side, the last ones of each path.

    Returns them, and the paths of the others with the reason.
    """
    latest = {file.path: file for file in files}
    kept: list[GuestFile] = []
    failed = {}
    seen: dict[str, tuple[str, bool]] = {}  # path, and whether a directory, by folded path
    for file in latest.values():
        reason = _why_not(file, seen)
        if reason:
            failed[file.path] = reason
            continue
        kept.append(file)
        for directory in PurePosixPath(file.path).parents:
            seen[_folded(str(directory))] = (str(directory), True)
        seen[_folded(file.path)] = (file.path, False)
    return kept, failed


def make(drive: Path, server: WantedServer) -> Injected:
    """Make ``drive`` the server's drive, and read it back; says what is on it.

    Raises HostFault and Retry.
    """
    files, failed = fitting(contents(server))
    with drive.open("wb") as disk:
        disk.truncate(size_of(files))
    label = LABELS[settings().config_drive_layout]
    _run("mkfs.vfat", "-F", "32", "-n", label, str(drive))
    with places.scratch(drive.parent, "config-drive") as room:
        tree, back = room / "tree", room / "back"
        for file in files:
            path = tree / file.path[1:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
        back.mkdir()
        with suppress(HostFault):  # it skips the names that FAT has not, and says so by its status
            _run("mcopy", "-s", "-D", "s", "-i", str(drive), *_all_in(tree), "::/")
        with suppress(HostFault):
            _run("mcopy", "-s", "-n", "-i", str(drive), "::/*", str(back))
        for file in files:
            found = back / file.path[1:]
            if not found.is_file() or found.read_bytes() != file.data:
                failed[file.path] = "FAT has another name for it, or none"
    if META in failed:
        raise HostFault("nothing can be written on a config drive")
    own = {file.path for file in trees(server)} - {file.path for file in personality(server)}
    done = [file.path for file in files if file.path not in failed.keys() | own]
    told = (f"{path!r} ({reason})" for path, reason in failed.items())
    return Injected(tuple(done), tuple(told), "on the config drive")


def size_of(files: Sequence[GuestFile]) -> int:
    """Bytes of a drive for the files: 64 MiB, or more when they need it."""
    cluster = 32 * 1024  # the largest there is, for each file and its directory
    needed = sum(len(file.data) + 2 * cluster for file in files)
    return max(_LEAST, -(-(needed + needed // 16 + 4 * _MIB) // _MIB) * _MIB)


def _why_not(file: GuestFile, seen: dict[str, tuple[str, bool]]) -> str:
    """Why a FAT file system cannot hold the file beside others; "" when it can."""
    path = PurePosixPath(file.path)
    for part in path.parts[1:] or ("",):
        if (
            not part
            or part != part.rstrip(". ")
            or any(c in _NOT_IN_FAT or ord(c) < 32 for c in part)
        ):
            return "no name for FAT"
    for place in (path, *path.parents):
        there, is_directory = seen.get(_folded(str(place)), (str(place), place != path))
        if there != str(place):
            return f"{there} has the same name on FAT"
        if is_directory == (place == path):
            return "a file and a directory"
    return ""


def _folded(path: str) -> str:
    return path.casefold()


def _all_in(tree: Path) -> list[str]:
    return [str(path) for path in sorted(tree.iterdir())]


def _run(*argv: str) -> None:
    process.run(argv, timeout=_TIMEOUT)
