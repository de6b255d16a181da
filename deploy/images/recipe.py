"""What an image is made of, so that it is built again only when that changed."""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMON = tuple(HERE / f"{name}.py" for name in ("recipe", "tools", "packages", "disk_images"))


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image's name, the files that a build makes, and the program's own files for it.

    ``build`` makes the products in its first directory; the second is kept between builds. It
    returns what they were made of, to be written down.
    """

    name: str
    products: tuple[str, ...]
    sources: tuple[Path, ...]  # files, and directories with all that is in them
    build: Callable[[Path, Path], str]

    @property
    def stamp_file(self) -> str:
        """Name of the file that says what the products were made by."""
        return f"{self.name}.stamp"

    def stamp(self) -> str:
        """SHA-256 of the sources: path, mode and content of each file."""
        digest = hashlib.sha256()
        for path in sorted(self._files()):
            content = path.read_bytes()
            executable = os.access(path, os.X_OK)
            digest.update(f"{path.relative_to(HERE)} {executable} {len(content)}\n".encode())
            digest.update(content)
        return digest.hexdigest()

    def is_current(self, target: Path) -> bool:
        """Whether all products are there and were made by this very recipe."""
        stamp = target / self.stamp_file
        return (
            all((target / name).is_file() for name in self.products)
            and stamp.is_file()
            and stamp.read_text().split()[0] == self.stamp()
        )

    def main(self, arguments: list[str]) -> int:
        """Build into the directory named on the command line unless that is done already."""
        if len(arguments) != 1 or arguments[0].startswith("-"):
            print(f"usage: build-{self.name} OUTDIR", file=sys.stderr)
            return 0 if arguments in (["-h"], ["--help"]) else 2
        target = Path(arguments[0]).resolve()
        if self.is_current(target):
            print(f"{target}: up to date")
            return 0
        target.mkdir(parents=True, exist_ok=True)
        os.umask(0o022)
        with tempfile.TemporaryDirectory(dir=target, prefix=".build-") as name:
            self._finish(Path(name), target, self.build(Path(name), target))
        return 0

    def _files(self) -> Iterator[Path]:
        for source in (*COMMON, *self.sources):
            if source.is_dir():
                yield from (path for path in source.rglob("*") if path.is_file())
            else:
                yield source

    def _finish(self, work: Path, target: Path, made_of: str) -> None:
        """Put the products into ``target``, the stamp last."""
        (target / self.stamp_file).unlink(missing_ok=True)
        for name in self.products:
            (work / name).replace(target / name)
            print(f"{target / name}: {(target / name).stat().st_size} bytes")
        (work / self.stamp_file).write_text(f"{self.stamp()}\n{made_of}\n")
        (work / self.stamp_file).replace(target / self.stamp_file)
