"""Builds a Debian 12 image with cloud-init: what tenants would use, and what tests of it boot.

    debian.qcow2      a partitioned disk that boots by itself, with GRUB

mmdebstrap installs the packages into a directory; the disk is filled from it as the test image's
is, without mounts and loop devices. ``debian/root`` lies over what the packages brought.

Done already means done, as with the test image. It takes a minute or two and the network.
"""

import os
import shutil
import sys
from pathlib import Path

from deploy.images import disk_images, packages
from deploy.images.recipe import HERE, Recipe
from deploy.images.tools import run

SUITE = "bookworm"
DISK_MIB = 1024
OVERLAY = HERE / "debian" / "root"
BEFORE = ("etc/initramfs-tools",)  # what the packages' own scripts must find
PACKAGES = (
    *("systemd-sysv", "udev", "dbus", "kmod", "initramfs-tools", "linux-image-cloud-amd64"),
    *("ifupdown", "isc-dhcp-client", "iproute2", "iputils-ping", "netbase", "ca-certificates"),
    *("cloud-init", "cloud-guest-utils", "fdisk", "e2fsprogs", "openssh-server", "sudo", "curl"),
    *("acpid", "qemu-guest-agent"),
)
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
IDLE = ("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "e2scrub_reap.service")


def build(work: Path, target: Path) -> str:
    """Make the product in ``work``; the names and versions of all packages in it."""
    if shutil.which("mmdebstrap") is None:
        raise SystemExit("build-debian: install the package mmdebstrap first")
    if os.geteuid() != 0:
        raise SystemExit("build-debian: only root can make files of all owners; use sudo")
    root = work / "root"
    print("Debian's packages are fetched and installed (a minute or so)", flush=True)
    install(root, work / "early")
    print("The disk is made", flush=True)
    finish(root)
    files = packages.fetch(target / "packages", disk_images.GRUB_PACKAGES)
    for name in disk_images.GRUB_PACKAGES:
        packages.unpack(files[name], work / "grub")
    disk_images.make_disk(root, work / "grub", work / "debian.qcow2", DISK_MIB, "debian")
    return packages.installed(root)


def install(root: Path, early: Path) -> None:
    """Install the packages into ``root``, which is new."""
    for name in BEFORE:
        shutil.copytree(OVERLAY / name, early / name)
    options = [
        *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
        *(f"--aptopt={setting}" for setting in packages.transport()),
    ]
    try:
        run(
            "unshare", "--mount",  # so that whatever ends it, nothing stays mounted in ``root``
            "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory",
            f"--include={','.join(PACKAGES)}", "--dpkgopt=force-confold", *options,
            f"--essential-hook=copy-in {early}/etc /", SUITE, root, *packages.sources(SUITE),
            timeout=900,
        )  # fmt: skip
    except SystemExit as error:
        raise SystemExit(
            f"{error}; mmdebstrap says above why. Does `apt-get update` work on this machine?"
        ) from None


def finish(root: Path) -> None:
    """Lay the overlay over it, and take away what must be each guest's own."""
    shutil.copytree(OVERLAY, root, dirs_exist_ok=True)
    for name in IDLE:
        (root / "etc/systemd/system" / name).symlink_to("/dev/null")
    own = (*root.glob("etc/ssh/ssh_host_*"), *root.glob("etc/*/*/99mmdebstrap"))
    for path in (*own, root / "etc/resolv.conf"):
        path.unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("")
    (root / "etc/hostname").write_text("debian\n")
    (root / "etc/resolv.conf").write_text("")


RECIPE = Recipe("debian", ("debian.qcow2",), (HERE / "build_debian.py", HERE / "debian"), build)

if __name__ == "__main__":
    sys.exit(RECIPE.main(sys.argv[1:]))
