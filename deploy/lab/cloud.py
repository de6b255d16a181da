"""What a cloud needs before its first server: tenant, user, flavors, network, pool, test image."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """Register the test image, with its kernel and ramdisk, unless it is there."""
    there = {image["name"]: image for image in undercast("image", "list")}
    if IMAGE in there:
        return
    parts = {"kernel": "mini.vmlinuz", "ramdisk": "mini.initrd"}
    ids = {}
    for kind, file in parts.items():
        name = f"{IMAGE}-{kind}"
        ids[kind] = str(
            _id(there[name] if name in there else undercast(
                "image", "register", str(directory / file), "--name", name, "--kind", kind
            ))
        )  # fmt: skip
    undercast("image", "register", str(directory / "mini-root.qcow2"), "--name", IMAGE,
              "--kernel", ids["kernel"], "--ramdisk", ids["ramdisk"])  # fmt: skip


def alive_hosts(undercast: Operator) -> set[str]:
    """Names of the hosts that say that they are alive."""
    return {host["name"] for host in undercast("host", "list") if host["alive"]}


def _id(image: Any) -> int:
    return int(image["id"])
