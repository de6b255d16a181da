"""What an agent can make true on its host, whatever the hypervisor.

Every method is *observe -> act if needed -> verify*: it may be stopped anywhere and called again.
``unplug``, ``erase`` and ``power_off`` work from any half-made state and need the server's id only.
Errors are those of ``db.operations.errors``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from compute_agent.guest_files import Injected
from db.queries.image_changes import StoredBytes
from db.wanted import WantedNetwork, WantedServer
from db.wanted_firewall import WantedFirewall


class Still(Protocol):
    """Long work calls it again and again; what it raises ends the work, which nobody wants."""

    def __call__(self, share: float = 0.0) -> None:
        """``share`` of the work is done, from 0 to 1."""


class PowerState(StrEnum):
    """What the hypervisor says of a guest."""

    RUNNING = "running"
    PAUSED = "paused"
    SHUTOFF = "shutoff"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class HostResources:
    """What a host has: memory in MB, disk in GB, both of the whole machine."""

    vcpus: int
    ram_mb: int
    disk_gb: int
    hypervisor: str  # kvm, qemu or fake


class Driver(Protocol):
    """One host's hands."""

    def prepare_network(self, network: WantedNetwork | None) -> None:
        """Bridge, base rules, DHCP; what of the network is not a server's."""

    def prepare_host(self) -> None:
        """The hypervisor answers, and the image cache fits."""

    def restore(self) -> None:
        """What the host knows of its servers' network is in force, while the database is away."""

    def protect(self, wanted: WantedFirewall, *, afresh: bool) -> dict[int, str]:
        """Plugged servers get in what their security groups allow, and nothing else.

        Returns, by group, what could not be brought into force. ``afresh``: look at what is there.
        """

    def plugged_generation(self, server_id: int) -> int | None:
        """Generation of the record that a server was plugged with; None when it was not."""

    def resources(self) -> HostResources:
        """Totals of the host."""

    def plug(self, server: WantedServer) -> None:
        """Tap, anti-spoofing, DHCP, NAT, metadata."""

    def keep_plugged(self, server: WantedServer) -> None:
        """As :meth:`plug`, without waiting for the metadata service."""

    def unplug(self, server_id: int) -> None:
        """Inverse of :meth:`plug`."""

    def build_disks(self, server: WantedServer) -> Injected:
        """Root and ephemeral disks, config drive; what was put into the guest."""

    def fetch_images(self, server: WantedServer) -> None:
        """All that the server boots from is on the host; nothing of the server changes."""

    def rebuild_disks(self, server: WantedServer) -> Injected:
        """Disks as :meth:`build_disks` makes them, new: what was on them is gone (R150)."""

    def take_snapshot(self, server_id: int, image_id: int, still: Still) -> None:
        """Copy of the root disk as it is now, kept for the image; the guest goes on.

        ``still`` is told how much of it is there; what it raises ends the work.
        """

    def upload_snapshot(self, server_id: int, image_id: int, still: Still) -> StoredBytes:
        """That copy is in the image store."""

    def discard_snapshots(self, server_id: int) -> None:
        """No copy of the server's disk is left here, and none is being made."""

    def copied_servers(self) -> set[int]:
        """Ids of servers of whose disks a copy is here."""

    def console(self, server_id: int, size: int) -> bytes:
        """The last ``size`` bytes at most that the guest wrote to its console (R207)."""

    def erase(self, server_id: int) -> None:
        """The server's directory with its disks is gone."""

    def spawn(self, server: WantedServer) -> None:
        """Defined from the record as it is now, started, seen running."""

    def power_off(self, server_id: int) -> None:
        """No domain of the server is left."""

    def power_states(self) -> dict[int, PowerState]:
        """Power states of our domains by server id."""

    def local_servers(self) -> set[int]:
        """Ids of servers of which anything is here: directory, tap, chain or domain."""

    def on_change(self, look: Callable[[], None]) -> None:
        """Call ``look`` whenever a guest's power state changed by itself."""

    def on_loss(self, look: Callable[[], None]) -> None:
        """Call ``look`` whenever somebody took rules of the firewall away."""
