"""Builds the test image from Debian packages: a Linux that boots in seconds with 96 MB of memory.

    mini.vmlinuz      its kernel
    mini.initrd       its ramdisk: drivers and what mounts the root file system
    mini-root.qcow2   a root file system without partitions; boots with the two above
    mini-disk.qcow2   a partitioned disk that boots by itself, with GRUB

Packages are downloaded into ``OUTDIR/packages`` and unpacked, never installed; nothing is mounted
and no loop device is used: ``mke2fs -d`` fills file systems from directories. What the guest does
is in ``mini/guest``.

Done already means done: when the four files carry the stamp of this recipe, nothing happens. New
Debian packages alone are no reason to build again; remove OUTDIR to get them.

Only the standard library is used, so that any Python 3.11 can run it.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from deploy.images import disk_images, guest_files, packages

HERE = Path(__file__).resolve().parent
PRODUCTS = ("mini.vmlinuz", "mini.initrd", "mini-root.qcow2", "mini-disk.qcow2")
STAMP = "mini.stamp"

ROOT_MIB = 48
DISK_MIB = 64


def main(arguments: list[str]) -> int:
    """Build into the directory named on the command line unless that is done already."""
    if len(arguments) != 1:
        print("usage: build-mini OUTDIR", file=sys.stderr)
        return 2
    target = Path(arguments[0]).resolve()
    if is_current(target):
        print(f"{target}: up to date")
        return 0
    target.mkdir(parents=True, exist_ok=True)
    os.umask(0o022)
    with tempfile.TemporaryDirectory(dir=target, prefix=".build-") as work:
        build(Path(work), target)
    return 0


def recipe_stamp() -> str:
    """SHA-256 of these programs and of the guest's files: path, mode and content of each."""
    digest = hashlib.sha256()
    for path in sorted((*HERE.glob("*.py"), *guest_files.RECIPE.rglob("*"))):
        if path.is_dir():
            continue
        content = path.read_bytes()
        executable = os.access(path, os.X_OK)
        digest.update(f"{path.relative_to(HERE)} {executable} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def is_current(target: Path) -> bool:
    """Whether all products are there and were made by this very recipe."""
    stamp = target / STAMP
    return (
        all((target / name).is_file() for name in PRODUCTS)
        and stamp.is_file()
        and stamp.read_text().split()[0] == recipe_stamp()
    )


def build(work: Path, target: Path) -> None:
    """Make the products in ``work`` and put them into ``target``, the stamp last."""
    files = packages.fetch(target / "packages", [*guest_files.PACKAGES, *disk_images.GRUB_PACKAGES])
    for name in guest_files.PACKAGES:
        packages.unpack(files[name], work / "unpacked")
    for name in disk_images.GRUB_PACKAGES:
        packages.unpack(files[name], work / "grub")
    version = packages.unpack_kernel(files[packages.KERNEL], work / "kernel")
    shutil.copy(work / "kernel/boot" / f"vmlinuz-{version}", work / "mini.vmlinuz")

    ramdisk, root = work / "ramdisk", work / "root"
    guest_files.lay_out_ramdisk(ramdisk, work / "unpacked", work / "kernel/lib/modules" / version)
    disk_images.make_ramdisk(ramdisk, work / "mini.initrd")
    guest_files.lay_out_root(root, ramdisk, work / "unpacked")
    disk_images.make_root(root, work / "mini-root.qcow2", ROOT_MIB)
    guest_files.add_boot_files(root, work / "mini.vmlinuz", work / "mini.initrd")
    disk_images.make_disk(root, work / "grub", work / "mini-disk.qcow2", DISK_MIB)

    (target / STAMP).unlink(missing_ok=True)
    for name in PRODUCTS:
        (work / name).replace(target / name)
        print(f"{target / name}: {(target / name).stat().st_size} bytes")
    made_of = "\n".join(sorted(path.name for path in files.values()))
    (work / STAMP).write_text(f"{recipe_stamp()}\n{made_of}\n")
    (work / STAMP).replace(target / STAMP)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
