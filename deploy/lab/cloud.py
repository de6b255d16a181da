"""What a cloud needs before its first server: tenant, user, flavors, network, pool, test image."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from deploy.lab import files, names
from deploy.lab.names import PYTHON, REPO, Lab
from deploy.lab.operate import Operator
from deploy.lab.programs import LabError, run
from deploy.lab.settings_files import ZONE, secret

TENANT = USER = "demo"
IMAGE = "mini"
DEBIAN = "debian"
DEBIAN_RAM_MB = "512"  # below, its ramdisk finds no room
FLAVOR = "lab.tiny"  # small enough for any machine
_BUILD_TIMEOUT = 240.0
_DEBIAN_TIMEOUT = 1800.0


@dataclass(frozen=True, slots=True)
class Client:
    """How the demo tenant's user reaches the API."""

    auth_url: str
    tenant_id: str
    password: str

    def openrc(self) -> str:
        """Settings as the usual clients read them from the environment."""
        values = {
            "OS_AUTH_URL": self.auth_url,
            "OS_USERNAME": USER,
            "OS_PASSWORD": self.password,
            "OS_TENANT_NAME": TENANT,
            "OS_TENANT_ID": self.tenant_id,
            "OS_REGION_NAME": ZONE,
        }
        return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in values.items())


def migrate(undercast: Operator) -> None:
    """Bring the schema to its newest revision; an empty database gets its zone too."""
    undercast("db", "upgrade")


def furnish(lab: Lab, undercast: Operator) -> Client:
    """Make tenant, user, flavors, network and pool where they are missing.

    The tenant may ask as often as it likes: demonstrations and tests are no clients to slow down.
    """
    password = secret(lab, "demo")
    tenant = undercast("tenant", "create", TENANT, "--if-missing")
    undercast("user", "create", USER, "--tenant", TENANT, "--password-stdin", "--if-missing",
              stdin=password + "\n")  # fmt: skip
    undercast("limit", "off", TENANT)
    flavors = {flavor["name"] for flavor in undercast("flavor", "list")}
    size = ("--vcpus", "1", "--ram", "128", "--disk", "0")
    if not flavors:  # a new cloud; what its operator deletes later stays deleted
        undercast("flavor", "defaults")
    if FLAVOR not in flavors:  # but the demo needs this one; an id is never used twice
        try:
            undercast("flavor", "create", FLAVOR, "--id", "1", *size)
        except LabError:
            undercast("flavor", "create", FLAVOR, *size)
    undercast("network", "create", "private", "--cidr", "10.0.0.0/16", "--gateway", "10.0.0.1",
              "--first", "10.0.0.10", "--count", "4000", "--if-missing")  # fmt: skip
    undercast("pool", "create", "public", "--range", "15.185.16.0/20", "--if-missing")
    return Client(f"{lab.public_url}/v2.0", str(tenant["id"]), password)


def write_openrc(lab: Lab, client: Client) -> Path:
    """Write the client settings; returns where users look for them."""
    files.write(lab.openrc, client.openrc(), mode=0o600)
    if lab.name != names.DEFAULT:
        return lab.openrc
    files.write(names.BASE / "openrc", client.openrc(), mode=0o600)
    return names.BASE / "openrc"


def build_image(lab: Lab) -> Path:
    """Build the test image; does nothing when it is up to date. Returns its directory."""
    directory = lab.state / "build"
    run(PYTHON, "-m", "deploy.images.build_mini", directory, timeout=_BUILD_TIMEOUT, cwd=REPO)
    return directory


def build_debian(lab: Lab) -> Path:
    """Build the Debian image; does nothing when it is up to date. Returns the disk."""
    directory = lab.state / "build-debian"
    run(PYTHON, "-m", "deploy.images.build_debian", directory, timeout=_DEBIAN_TIMEOUT, cwd=REPO)
    return directory / "debian.qcow2"


def register_debian(undercast: Operator, disk: Path) -> None:
    """Register the Debian image unless it is there as built; servers of a former one stay."""
    there = [image for image in undercast("image", "list") if image["name"] == DEBIAN]
    if any(image["checksum"] == _sha256(disk) for image in there):
        return
    for image in there:
        undercast("image", "delete", str(image["id"]))
    undercast("image", "register", str(disk), "--name", DEBIAN, "--min-ram", DEBIAN_RAM_MB)


def register_image(undercast: Operator, directory: Path) -> None:
    """Register the test image, with its kernel and ramdisk, unless they are there as built."""
    parts = {
        IMAGE: directory / "mini-root.qcow2",  # first, as an image goes before what it boots
        f"{IMAGE}-kernel": directory / "mini.vmlinuz",
        f"{IMAGE}-ramdisk": directory / "mini.initrd",
    }
    there = {image["name"]: image for image in undercast("image", "list")}
    if all(name in there and there[name]["checksum"] == _sha256(parts[name]) for name in parts):
        return
    for name in parts:
        if name in there:  # of another recipe, or left by a stopped run
            undercast("image", "delete", str(there[name]["id"]))

    def register(name: str, *options: str) -> str:
        made = undercast("image", "register", str(parts[name]), "--name", name, *options)
        return str(made["id"])

    kernel = register(f"{IMAGE}-kernel", "--kind", "kernel")
    ramdisk = register(f"{IMAGE}-ramdisk", "--kind", "ramdisk")
    register(IMAGE, "--kernel", kernel, "--ramdisk", ramdisk)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def alive_hosts(undercast: Operator) -> set[str]:
    """Names of the hosts that say that they are alive."""
    return {host["name"] for host in undercast("host", "list") if host["alive"]}
