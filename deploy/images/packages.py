"""Debian packages as files: downloaded once and unpacked, never installed."""

import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from deploy.images.tools import output, run

KERNEL = "linux-image-cloud-amd64"  # depends on the newest kernel for virtual machines


def fetch(cache: Path, packages: Iterable[str]) -> dict[str, Path]:
    """Download what ``cache`` lacks; returns each package's .deb file by name."""
    cache.mkdir(exist_ok=True)
    wanted = {name: kernel_package(cache) if name == KERNEL else name for name in packages}
    missing = [package for package in wanted.values() if cached(cache, package) is None]
    if missing:
        with tempfile.TemporaryDirectory(dir=cache) as partial:  # complete files only in the cache
            run(
                "apt-get",
                "download",
                "-qq",
                "-o",
                "APT::Sandbox::User=root",
                *missing,
                cwd=partial,
            )
            for path in Path(partial).glob("*.deb"):
                path.replace(cache / path.name)
    found = {name: cached(cache, package) for name, package in wanted.items()}
    return {name: path for name, path in found.items() if path is not None}


def cached(cache: Path, package: str) -> Path | None:
    """Look up the package's file in the cache, or None."""
    return next(iter(sorted(cache.glob(f"{package}_*.deb"))), None)


def kernel_package(cache: Path) -> str:
    """Name the newest cloud kernel's package; asks apt when none is in the cache."""
    for path in cache.glob("linux-image-*-cloud-amd64_*.deb"):
        return path.name.partition("_")[0]
    depends = output("apt-cache", "depends", KERNEL)
    if "Depends:" not in depends:  # apt has no package lists yet
        run("apt-get", "update", "-qq")
        depends = output("apt-cache", "depends", KERNEL)
    match = re.search(r"Depends: (linux-image-\S+)", depends)
    if match is None:
        raise SystemExit(f"apt knows no {KERNEL}")
    return match[1]


def unpack(package: Path, into: Path) -> None:
    """Put all files of the package below ``into``."""
    run("dpkg-deb", "-x", package, into)


def unpack_kernel(package: Path, into: Path) -> str:
    """Unpack kernel and modules; returns their version, such as 6.1.0-1-cloud-amd64."""
    wanted = re.compile(r"\./(boot/vmlinuz-|lib/modules/[^/]+/(kernel/|modules\.))")
    with (
        subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
        ) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as archive,
    ):
        chosen = (member for member in archive if wanted.match(member.name))
        archive.extractall(into, chosen)  # noqa: S202 - Debian signed it; 3.11.2 has no filters
    version = next((into / "lib/modules").iterdir()).name
    run("depmod", "-b", into, version)
    return version


def sources(suite: str) -> list[str]:
    """Debian's archives as this machine's apt knows them, as lines for a new system's apt.

    Archives of others are left out, and backports. Empty: apt knows none, or has no lists yet.
    """
    columns = "$(ORIGIN) deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    lines = output("apt-get", "indextargets", "--format", columns, "Created-By: Packages")
    names = {suite, f"{suite}-updates", f"{suite}-security"}
    found = (line.partition(" ")[2] for line in lines.splitlines() if line.startswith("Debian "))
    return sorted({line for line in found if line.split()[2] in names})


def transport() -> list[str]:
    """How this machine's apt reaches archives, such as by a proxy: its settings."""
    settings = output("apt-config", "dump").splitlines()
    return [line for line in settings if re.match(r"Acquire::(https?::|Check-Valid-Until)", line)]


def installed(root: Path) -> str:
    """Names and versions of the packages in a root directory, a line each."""
    return output("dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show")
