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
FLAVOR = "lab.tiny"  # small enough for any machine
_BUILD_TIMEOUT = 240.0


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
    """Make tenant, user, flavors, network and pool where they are missing."""
    password = secret(lab, "demo")
    tenant = undercast("tenant", "create", TENANT, "--if-missing")
    undercast("user", "create", USER, "--tenant", TENANT, "--password-stdin", "--if-missing",
              stdin=password + "\n")  # fmt: skip
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


def register_image(undercast: Operator, directory: Path) -> None:
    """Register the test image, with its kernel and ramdisk, unless they are there as built."""
    there = {image["name"]: image for image in undercast("image", "list")}

    def registered(name: str, file: str, *options: str, anew: bool = False) -> int:
        path, old = directory / file, there.get(name)
        if old is not None:
            with path.open("rb") as image:
                same = hashlib.file_digest(image, "sha256").hexdigest() == old["checksum"]
            if same and not anew:
                return int(old["id"])
            undercast("image", "delete", str(old["id"]))
        made = undercast("image", "register", str(path), "--name", name, *options)
        return int(made["id"])

    parts = {
        kind: registered(f"{IMAGE}-{kind}", file, "--kind", kind)
        for kind, file in (("kernel", "mini.vmlinuz"), ("ramdisk", "mini.initrd"))
    }
    old = there.get(IMAGE, {})
    linked = {"kernel": old.get("kernel_id"), "ramdisk": old.get("ramdisk_id")} == parts
    links = [word for kind in parts for word in (f"--{kind}", str(parts[kind]))]
    registered(IMAGE, "mini-root.qcow2", *links, anew=not linked)


def alive_hosts(undercast: Operator) -> set[str]:
    """Names of the hosts that say that they are alive."""
    return {host["name"] for host in undercast("host", "list") if host["alive"]}
