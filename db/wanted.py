"""What a host must make true of one server: the record that crosses from the database to a host.

Written to the server's directory as ``server.json``, it is all that the metadata service, DHCP and
the firewall need to go on serving the guest while Postgres, Redis and the API are away
(architecture: the compute agent).
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_RXTX_CAP = 1_000_000  # megabits per second


@dataclass(frozen=True, slots=True)
class WantedImage:
    """Bytes to boot from; known by checksum, so that a host keeps one copy."""

    id: int
    checksum: str  # SHA-256, hex
    disk_format: str  # "raw" or "qcow2"; kernels and ramdisks are "raw"
    size: int  # bytes of the file
    virtual_size: int  # bytes of the disk that a guest sees
    owner: str | None = None  # tenant of a private image


@dataclass(frozen=True, slots=True)
class WantedNetwork:
    """Network of a zone, the same on all its hosts."""

    id: int
    name: str
    cidr: str  # "10.0.0.0/16"
    gateway: str  # the hosts' common address
    gateway_mac: str  # the hosts' common MAC
    dns: str  # "" when guests get none
    domain: str  # domain of host names, "novalocal"


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file that the client puts into its guest (personality, R186)."""

    path: str  # absolute
    contents: str  # Base64

    @property
    def data(self) -> bytes:
        """The contents."""
        return b64decode(self.contents)


@dataclass(frozen=True, slots=True)
class WantedServer:
    """One server as its host must have it."""

    id: int
    uuid: str
    tenant_id: str
    generation: int  # rises with every change that a host must apply
    name: str
    hostname: str  # without domain
    zone: str
    reservation_id: str  # r-xxxxxxxx
    launch_index: int
    flavor_name: str
    vcpus: int
    ram_mb: int
    root_gb: int  # 0: as large as the image
    disk_gb: int  # ephemeral disk; 0: none
    image: WantedImage
    kernel: WantedImage | None
    ramdisk: WantedImage | None
    network: WantedNetwork
    mac: str
    fixed_address: str
    public_addresses: tuple[str, ...] = ()  # the automatic one first
    key_name: str | None = None
    public_key: str | None = None
    security_groups: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    config_drive: bool = False  # what is put into the guest goes on a drive of its own
    windows: bool = False  # the image runs Windows, into which nothing is put (R192)
    user_data: str | None = None  # Base64
    files: tuple[WantedFile, ...] = ()
    #: The tenant's servers in the zone: "<fixed address> slots=<vcpus>" by name of their key.
    mpi: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rxtx_cap: int = 0  # megabits per second that the guest may send, and may receive; 0: no limit

    @property
    def user_data_bytes(self) -> bytes:
        """The user data decoded; empty without any."""
        return b64decode(self.user_data or "")

    @property
    def ec2_id(self) -> str:
        """EC2 name: i- and 8 hexadecimal digits (R102). Also the libvirt domain's name."""
        return f"i-{self.id:08x}"

    @property
    def tap(self) -> str:
        """Tap device on the host, at most 15 characters. libvirt would rename ``vnet...``."""
        return f"tap-{self.id:x}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, for ``server.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WantedServer:
        """Inverse of :meth:`to_json`. Raises KeyError or TypeError for another shape."""

        def image(value: dict[str, Any] | None) -> WantedImage | None:
            return None if value is None else WantedImage(**value)

        machine = image(data["image"])
        if machine is None:
            raise TypeError("a server needs an image")
        return cls(
            **{
                **data,
                "image": machine,
                "kernel": image(data["kernel"]),
                "ramdisk": image(data["ramdisk"]),
                "network": WantedNetwork(**data["network"]),
                "public_addresses": tuple(data["public_addresses"]),
                "security_groups": tuple(data["security_groups"]),
                "files": tuple(WantedFile(**file) for file in data.get("files", ())),
                "mpi": lines_by_name(data.get("mpi", {})),
            }
        )


def lines_by_name(value: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    """Field ``mpi`` from JSON."""
    return {name: tuple(lines) for name, lines in value.items()}
