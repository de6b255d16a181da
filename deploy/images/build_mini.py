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

import shutil
import sys
from pathlib import Path

from deploy.images import disk_images, guest_files, packages
from deploy.images.recipe import HERE, Recipe

ROOT_MIB = 48
DISK_MIB = 64


def build(work: Path, target: Path) -> str:
    """Make the products in ``work``; the names of the packages that they are made of."""
    wanted = [packages.KERNEL, *guest_files.PACKAGES, *disk_images.GRUB_PACKAGES]
    files = packages.fetch(target / "packages", wanted)
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
    disk_images.make_disk(root, work / "grub", work / "mini-disk.qcow2", DISK_MIB, "minidisk")
    return "\n".join(sorted(path.name for path in files.values()))


RECIPE = Recipe(
    "mini",
    ("mini.vmlinuz", "mini.initrd", "mini-root.qcow2", "mini-disk.qcow2"),
    (HERE / "build_mini.py", HERE / "guest_files.py", guest_files.RECIPE),
    build,
)

if __name__ == "__main__":
    sys.exit(RECIPE.main(sys.argv[1:]))
