"""What lies in the test guest's ramdisk and root file system."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from deploy.images.tools import output

RECIPE = Path(__file__).resolve().parent / "mini"

PACKAGES = (
    "busybox-static",
    "libc6",
    *("dropbear-bin", "libtomcrypt1", "libtommath1", "libgmp10", "zlib1g", "libcrypt1"),
    *("e2fsprogs", "libext2fs2", "libcom-err2"),  # resize2fs
)
PROGRAMS = (
    "usr/sbin/dropbear",
    "usr/bin/dropbearkey",
    "usr/bin/dbclient",
    "sbin/resize2fs",
)
LIBRARIES = (
    "libc.so.6",
    *(
        "libtomcrypt.so.1",
        "libtommath.so.1",
        "libgmp.so.10",
        "libz.so.1",
        "libcrypt.so.1",
    ),
    *("libext2fs.so.2", "libe2p.so.2", "libcom_err.so.2"),
)
LOADER = "ld-linux-x86-64.so.2"
DRIVERS = (
    *("virtio_pci", "virtio_blk", "virtio_net", "virtio-rng", "virtio_balloon"),
    *("button", "evdev", "acpiphp"),  # power button, disks that come and go
    *(
        "vfat",
        "isofs",
        "nls_cp437",
        "nls_ascii",
        "nls_utf8",
        "nls_iso8859-1",
    ),  # config drive
)
EMPTY_DIRECTORIES = (
    *(
        "dev",
        "proc",
        "sys",
        "run",
        "tmp",
        "root",
        "mnt",
        "var/lib",
        "etc/dropbear",
        "www",
        "boot",
    ),
)


def lay_out_ramdisk(ramdisk: Path, unpacked: Path, modules: Path) -> None:
    """Busybox and the drivers in ``modules``: what ramdisk and root have in common."""
    for name in EMPTY_DIRECTORIES:
        (ramdisk / name).mkdir(parents=True)
    (ramdisk / "tmp").chmod(0o1777)
    (ramdisk / "root").chmod(0o700)
    install_busybox(unpacked / "bin/busybox", ramdisk)
    install_drivers(modules, ramdisk / "lib/modules" / modules.name)
    loader = ramdisk / "usr/lib/mini/load-modules"
    loader.parent.mkdir(parents=True)
    shutil.copy(RECIPE / "guest/usr/lib/mini/load-modules", loader)
    shutil.copy(RECIPE / "initrd-init", ramdisk / "init")


def install_busybox(busybox: Path, root: Path) -> None:
    """One program under all of its names."""
    for directory in ("bin", "sbin"):
        (root / directory).mkdir(exist_ok=True)
    shutil.copy(busybox, root / "bin/busybox")
    for applet in output(busybox, "--list").split():
        if applet not in ("busybox", "init"):
            (root / "bin" / applet).symlink_to("/bin/busybox")
    (root / "sbin/init").symlink_to("/bin/busybox")


def install_drivers(modules: Path, target: Path) -> None:
    """Copy the drivers and what they need, and write ``load``: their names in loading order."""
    target.mkdir(parents=True)
    ordered = list(dict.fromkeys(drivers_in_order(modules)))
    for path in ordered:
        shutil.copy(path, target)
    (target / "load").write_text("".join(f"{path.name}\n" for path in ordered))


def drivers_in_order(modules: Path) -> Iterator[Path]:
    """Every wanted driver that is a module, each after those that it needs."""
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, needed = line.partition(":")
        needs[Path(path).stem] = [modules / name for name in (path, *needed.split())]
    for driver in DRIVERS:
        yield from reversed(needs.get(driver, []))  # absent: it is built into the kernel


def lay_out_root(root: Path, ramdisk: Path, unpacked: Path) -> None:
    """Make the ramdisk's tree with ssh, its libraries, resize2fs and the guest's configuration."""
    shutil.copytree(ramdisk, root, symlinks=True)
    (root / "init").unlink()
    for program in PROGRAMS:
        place(unpacked / program, root / program)
    for library in LIBRARIES:
        place(find(unpacked, library), root / "lib/x86_64-linux-gnu" / library)
    place(find(unpacked, LOADER), root / "lib64" / LOADER)
    shutil.copytree(RECIPE / "guest", root, dirs_exist_ok=True)
    (root / "etc/shadow").chmod(0o600)
    (root / "var/run").symlink_to("/run")


def add_boot_files(root: Path, kernel: Path, ramdisk: Path) -> None:
    """Kernel, ramdisk and boot menu inside the root file system, for a boot loader to find."""
    shutil.copytree(RECIPE / "boot", root / "boot", dirs_exist_ok=True)
    shutil.copy(kernel, root / "boot/vmlinuz")
    shutil.copy(ramdisk, root / "boot/initrd.img")


def place(source: Path, target: Path) -> None:
    """Copy what ``source`` names, through links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def find(tree: Path, name: str) -> Path:
    """Find the one file of that name."""
    for path in tree.rglob(name):
        if path.is_file():
            return path
    raise SystemExit(f"no {name} in the packages")
