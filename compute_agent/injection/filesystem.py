"""The ext file system of an exported disk, by e2fsprogs.

debugfs says nothing by its exit status, and leaves rubbish where a command cannot be carried out.
Therefore it is asked first, told only what can be done, and everything that was written is read
back by another run of it. Names are a client's or a stranger's, and quoted. A symbolic link leads
to a place of the same file system, never out of it.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from compute_agent.errors import HostFault, StepError
from compute_agent.guest_files import KEYS, GuestFile
from compute_agent.injection.export import Export

LARGEST_KEYS = 1024 * 1024  # bytes; a larger file of keys is not read
_SSH = str(PurePosixPath(KEYS).parent)
_TYPE = re.compile(r"^Inode: \d+\s+Type: (\w+)", re.MULTILINE)


class Filesystem:
    """The root file system on ``export``, ``offset`` bytes from the disk's beginning."""

    def __init__(self, export: Export, offset: int) -> None:
        self._export = export
        self._where = f"{export.disk}?offset={offset}" if offset else str(export.disk)

    def make_clean(self) -> None:
        """Write to the file system what its journal holds. Raises HostFault when it is none."""
        if self._has_journal_to_replay():
            with suppress(HostFault):  # its exit status says that it changed something
                self._export.run("e2fsck", "-y", "-E", "journal_only", self._where)
            if self._has_journal_to_replay():
                raise HostFault("its journal cannot be replayed")

    def _has_journal_to_replay(self) -> bool:
        return "needs_recovery" in self._export.run("dumpe2fs", "-h", self._where)

    def kinds(self, paths: Sequence[str]) -> list[str]:
        """What is at each path: regular, directory, symlink, ...; "" for nothing."""
        mark = f'cd "/{secrets.token_hex(16)}"'  # goes nowhere, and is repeated in the output
        lines = [line for path in paths for line in (mark, f"stat {quoted(path)}")]
        said = self._batch(lines, writable=False).split(mark)[1:]
        return [found[1] if (found := _TYPE.search(part)) else "" for part in said]

    def keys(self) -> bytes:
        """The keys that root has already."""
        if self.kinds([KEYS]) != ["regular"]:
            return b""
        return self._read([KEYS], LARGEST_KEYS)[0] or b""

    def write(self, files: Sequence[GuestFile]) -> dict[str, str]:
        """Write the files, with the directories on their way.

        A file is replaced, not changed; a directory of its name stays. Returns the paths of those
        that are not there afterwards, with the reason.
        """
        self._make_directories(files)
        kinds = self.kinds([file.path for file in files])
        ways = self.kinds([_inside(str(PurePosixPath(file.path).parent)) for file in files])
        failed, fit = {}, []
        for file, kind, way in zip(files, kinds, ways, strict=True):
            if way != "directory":
                failed[file.path] = "no directory on its way"
            elif kind == "directory":
                failed[file.path] = "a directory"
            else:
                fit.append(file)
        return failed | dict.fromkeys(self._write(fit), "no room")

    def _write(self, files: Sequence[GuestFile]) -> list[str]:
        """Write files that can be written; the paths of those that did not arrive."""
        if not files:
            return []
        self._batch(written(files, self._sources(files)))
        largest = max(len(file.data) for file in files) + 1
        found = self._read([file.path for file in files], largest)
        lost = [file.path for file, data in zip(files, found, strict=True) if data != file.data]
        self._batch([f"rm {quoted(path)}" for path in lost])
        return lost

    def _make_directories(self, files: Sequence[GuestFile]) -> None:
        """Make what is missing of the directories on the way to the files.

        A directory is made only where it can be and is not yet: otherwise debugfs leaves half of
        one.
        """
        parents = _parents(files)
        kinds = self.kinds(parents)
        ways = self.kinds([_inside(path) for path in parents])
        enterable = {"/": "directory", **dict(zip(parents, ways, strict=True))}
        lines = []
        for path, kind in zip(parents, kinds, strict=True):
            if kind or enterable[str(PurePosixPath(path).parent)] != "directory":
                continue
            enterable[path] = "directory"
            lines.append(f"mkdir {quoted(_through_links(path))}")
            if path == _SSH:
                lines.append(f"sif {quoted(path)} mode 040700")
        self._batch(lines)

    def _sources(self, files: Sequence[GuestFile]) -> list[Path]:
        """Files of this host with the same contents and modes."""
        sources = []
        for index, file in enumerate(files):
            source = self._export.room / f"source-{index}"
            source.write_bytes(file.data)
            self._export.give(source, file.mode)
            sources.append(source)
        return sources

    def _read(self, paths: Sequence[str], largest: int) -> list[bytes | None]:
        """Contents of files, up to ``largest`` bytes of each; None for what cannot be read."""
        targets = [self._export.room / f"read-{index}" for index in range(len(paths))]
        lines = [
            f"dump {quoted(path)} {quoted(str(target))}"
            for path, target in zip(paths, targets, strict=True)
        ]
        with suppress(HostFault):  # it ends at the first file that is too large
            self._batch(lines, writable=False, largest_file=largest)
        found = [target.read_bytes() if target.exists() else None for target in targets]
        for target in targets:
            target.unlink(missing_ok=True)
        return found

    def _batch(
        self, lines: Sequence[str], *, writable: bool = True, largest_file: int | None = None
    ) -> str:
        """Output of debugfs for some commands."""
        if not lines:
            return ""
        script = self._export.room / "script"
        script.write_text("".join(f"{line}\n" for line in lines))
        self._export.give(script, 0o600)
        argv = ["debugfs", *(["-w"] if writable else []), "-f", str(script), self._where]
        return self._export.run(*argv, largest_file=largest_file)


def root_file_system(export: Export, *, has_kernel: bool) -> Filesystem:
    """Find the root file system: the first partition, or the whole disk where there is none.

    A server that boots by a kernel of its own has no partitions. Raises HostFault.
    """
    offset = 0 if has_kernel else _first_partition(export)
    found = Filesystem(export, offset)
    try:
        found.make_clean()
    except HostFault as error:
        where = "partition 1" if offset else "the disk"
        raise HostFault(f"{where} has no usable ext file system: {error}") from error
    return found


def _first_partition(export: Export) -> int:
    """Offset of partition 1 in bytes; 0 when the disk has no partition table."""
    try:
        table = json.loads(export.run("sfdisk", "--json", str(export.disk)))["partitiontable"]
    except (StepError, ValueError, KeyError):
        return 0
    for partition in table.get("partitions", []):
        if partition["node"] == f"{export.disk}1":
            return int(partition["start"]) * int(table.get("sectorsize", 512))
    raise HostFault("the disk has no partition 1")


def written(files: Sequence[GuestFile], sources: Sequence[Path]) -> list[str]:
    """Commands of debugfs that write each file from its source; its directory is there."""
    lines = []
    for file, source in zip(files, sources, strict=True):
        place = PurePosixPath(file.path)
        lines += [f"cd {quoted(_inside(str(place.parent)))}", f"rm {quoted('./' + place.name)}"]
        lines += [f"write {quoted(str(source))} {quoted(place.name)}"]
    return lines


def quoted(word: str) -> str:
    """One argument of a debugfs command."""
    return '"' + word.replace('"', '""') + '"'


def _inside(path: str) -> str:
    """The path of the directory that one comes to at ``path``, also by a link."""
    return f"{path.rstrip('/')}/."


def _through_links(path: str) -> str:
    """The same path, for commands that follow a link only where something comes after it."""
    place = PurePosixPath(path)
    return f"{_inside(str(place.parent))}/{place.name}"


def _parents(files: Sequence[GuestFile]) -> list[str]:
    """All directories on the way to the files, upper ones first, without the root."""
    found: dict[str, None] = {}
    for file in files:
        for parent in reversed(PurePosixPath(file.path).parents[:-1]):
            found[str(parent)] = None
    return list(found)
