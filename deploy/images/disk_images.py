"""Directories become ramdisks, file systems and bootable disks, without mounts."""

import gzip
import os
import subprocess
from pathlib import Path

from deploy.images.tools import run

GRUB_PACKAGES = ("grub-common", "grub-pc-bin", "libdevmapper1.02.1")
GRUB_MODULES = (
    *("biosdisk", "part_msdos", "ext2", "search_label"),
    *("normal", "configfile", "linux", "serial", "terminal"),
)
MIB = 1024 * 1024
FIRST_SECTOR = 2048  # of a disk's partition; GRUB's core lies before it
EPOCH = 1353628800  # 23 November 2012: time of everything in a ramdisk


def make_ramdisk(tree: Path, product: Path) -> None:
    """Make a gzipped cpio archive of the tree, everything owned by root."""
    fix_times(tree)
    names = "".join(f"{path.relative_to(tree)}\n" for path in sorted(tree.rglob("*")))
    archive = subprocess.run(
        [
            "cpio",
            "--create",
            "--format=newc",
            "--owner=0:0",
            "--reproducible",
            "--quiet",
        ],
        input=names.encode(),
        stdout=subprocess.PIPE,
        cwd=tree,
        check=True,
    ).stdout
    product.write_bytes(gzip.compress(archive, mtime=EPOCH))


def make_root(root: Path, product: Path, size_mib: int) -> None:
    """Make the root file system a disk without partitions, thin and compressed."""
    raw = product.with_suffix(".raw")
    with raw.open("wb") as disk:
        disk.truncate(size_mib * MIB)
    make_ext4(root, raw, "miniroot", size_mib=size_mib)
    compress(raw, product)


def make_disk(root: Path, grub: Path, product: Path, size_mib: int, label: str) -> None:
    """Make a disk with one active partition, its file system's ``label``, and GRUB before it."""
    raw = product.with_suffix(".raw")
    with raw.open("wb") as disk:
        disk.truncate(size_mib * MIB)
    table = f"label: dos\nlabel-id: 0x6d696e69\n{FIRST_SECTOR},,L,*\n"
    subprocess.run(["sfdisk", "-q", raw], input=table, text=True, check=True)
    offset = FIRST_SECTOR * 512
    make_ext4(root, raw, label, size_mib=size_mib - offset // MIB, offset=offset)
    boot_code, core = grub_images(grub, raw.with_suffix(".core"))
    if len(core) > (FIRST_SECTOR - 1) * 512:
        raise SystemExit("GRUB does not fit before the partition")
    with raw.open("r+b") as disk:
        disk.write(boot_code[:440])  # the partition table follows
        disk.seek(512)
        disk.write(core)
    compress(raw, product)


def grub_images(grub: Path, core: Path) -> tuple[bytes, bytes]:
    """First sector and core of GRUB, from its unpacked packages."""
    modules = grub / "usr/lib/grub/i386-pc"
    run(
        grub / "usr/bin/grub-mkimage",
        *("-O", "i386-pc", "-d", modules, "-o", core, "-p", "(hd0,msdos1)/boot/grub"),
        *GRUB_MODULES,
        LD_LIBRARY_PATH=f"{grub / 'lib/x86_64-linux-gnu'}:{grub / 'usr/lib/x86_64-linux-gnu'}",
    )
    return (modules / "boot.img").read_bytes(), core.read_bytes()


def fix_times(tree: Path) -> None:
    """Give everything the same time, so that equal trees give equal archives."""
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def make_ext4(tree: Path, image: Path, label: str, *, size_mib: int, offset: int = 0) -> None:
    """Make an ext4 file system with the tree's files, in the image from ``offset`` (bytes) on."""
    run(
        *("mke2fs", "-q", "-F", "-t", "ext4", "-b", 4096, "-i", 16384, "-m", 0),
        *("-L", label, "-d", tree),
        *("-E", f"root_owner=0:0,offset={offset}"),
        *(image, f"{size_mib}M"),
    )


def compress(raw: Path, product: Path) -> None:
    """Turn a raw disk into a thin, compressed qcow2."""
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", raw, product)
