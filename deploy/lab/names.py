"""Everything that derives from the name of a lab: namespaces, addresses, port, paths, cgroup."""

from __future__ import annotations

import os
import re
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "UNDERCAST_LAB"
DEFAULT = "lab"
MAX_HOSTS = 200
BASE = Path("/var/lib/undercast")
NETNS = Path("/run/netns")
REPO = Path(__file__).resolve().parents[2]
PYTHON = Path(sys.executable)

CONTROLLER_ADDRESS = "192.168.50.10"
MANAGEMENT_PREFIX = 24
OUTSIDE_ADDRESS = "15.185.0.1"
PUBLIC_PREFIX = 16
POSTGRES_PORT = 5432
REDIS_PORT = 6379

_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")


@dataclass(frozen=True, slots=True)
class Lab:
    """One lab. Raises ValueError for a name that could not be told apart in namespaces."""

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"{VARIABLE}={self.name!r}: a lab's name is 1 to 12 lower-case letters and digits,"
                " the first a letter"
            )

    @property
    def state(self) -> Path:
        """Directory of all that the lab keeps."""
        return BASE / self.name

    @property
    def run(self) -> Path:
        """Sockets, pid files and configuration that is written anew by every ``up``."""
        return self.state / "run"

    @property
    def log(self) -> Path:
        """Logs of the controller's processes."""
        return self.state / "log"

    @property
    def pki(self) -> Path:
        """The lab's certificate authority and the certificates that it issued."""
        return self.state / "pki"

    @property
    def settings_file(self) -> Path:
        """The controller's settings, with every secret that it needs."""
        return self.state / "undercast.toml"

    @property
    def openrc(self) -> Path:
        """Client settings; the default lab's are found one level higher too."""
        return self.state / "openrc"

    @property
    def demo_key(self) -> Path:
        """Private ssh key of the demo user; ``.pub`` beside it is the public half."""
        return self.state / "demo_key"

    @property
    def api_port(self) -> int:
        """The one TCP port outside the namespaces: 8774, or 20000-29999 for further labs."""
        if self.name == DEFAULT:
            return 8774
        return 20000 + zlib.crc32(self.name.encode()) % 10000

    @property
    def public_url(self) -> str:
        """Base URL of the API."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def cgroup(self) -> str:
        """Name of the cgroup that every process of the lab is in."""
        return f"undercast-{self.name}"

    def namespace(self, place: str) -> str:
        """Network namespace of ``fab``, ``ctl``, ``out`` or a host."""
        return f"{self.name}-{place}"

    def owns_namespace(self, namespace: str) -> bool:
        """Whether a network namespace belongs to this lab."""
        return re.fullmatch(rf"{self.name}-(fab|ctl|out|cmp\d+)", namespace) is not None

    def host(self, number: int) -> HostNames:
        """Names of compute host ``number``, counted from 1. Raises ValueError out of range."""
        if not 1 <= number <= MAX_HOSTS:
            raise ValueError(f"a lab has 1 to {MAX_HOSTS} hosts, not {number}")
        return HostNames(self, number)

    def hosts(self, count: int) -> list[HostNames]:
        """The first ``count`` hosts. Raises ValueError for more than a lab can have."""
        return [self.host(number) for number in range(1, count + 1)]

    def host_named(self, name: str) -> HostNames:
        """Host ``cmpN``. Raises ValueError for another name."""
        found = re.fullmatch(r"cmp([1-9]\d{0,2})", name)
        if found is None:
            raise ValueError(f"no such place in a lab: {name!r}; hosts are cmp1, cmp2, ...")
        return self.host(int(found[1]))


@dataclass(frozen=True, slots=True)
class HostNames:
    """Names of one compute host."""

    lab: Lab
    number: int

    @property
    def name(self) -> str:
        """Its host name."""
        return f"cmp{self.number}"

    @property
    def namespace(self) -> str:
        """Its network namespace."""
        return self.lab.namespace(self.name)

    @property
    def management_address(self) -> str:
        """Its address on the management network."""
        return f"192.168.50.{10 + self.number}"

    @property
    def public_address(self) -> str:
        """Its own address on the public network."""
        return f"15.185.0.{10 + self.number}"

    @property
    def directory(self) -> Path:
        """All that the host keeps."""
        return self.lab.state / "hosts" / self.name

    @property
    def state(self) -> Path:
        """``state_dir`` of its agent, as seen from outside the host."""
        return self.directory / "state"

    @property
    def log(self) -> Path:
        """Logs of its processes."""
        return self.directory / "log"

    @property
    def cgroup(self) -> str:
        """Its cgroup, below the lab's."""
        return f"{self.lab.cgroup}/{self.name}"


def current() -> Lab:
    """The lab that the environment names. Raises ValueError for a name that cannot be used."""
    return Lab(os.environ.get(VARIABLE) or DEFAULT)
