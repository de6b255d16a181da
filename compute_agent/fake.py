"""A host without a hypervisor, FOR SCALE AND FAULT TESTS ONLY: it boots nothing.

Queues, leases, claims and records are the real ones; only the effects are a dictionary in memory.
"""

import threading
from collections.abc import Callable

from compute_agent.driver import HostResources, PowerState
from db.wanted import WantedNetwork, WantedServer


class FakeDriver:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plugged: set[int] = set()
        self._disks: set[int] = set()
        self._domains: dict[int, PowerState] = {}

    def prepare_host(self, network: WantedNetwork | None) -> None:
        """Nothing to prepare."""

    def resources(self) -> HostResources:
        """A host of common size."""
        return HostResources(vcpus=32, ram_mb=262_144, disk_gb=4_000, hypervisor="fake")

    def plug(self, server: WantedServer) -> None:
        """Remember the tap."""
        with self._lock:
            self._plugged.add(server.id)

    def unplug(self, server_id: int) -> None:
        """Forget the tap."""
        with self._lock:
            self._plugged.discard(server_id)

    def build_disks(self, server: WantedServer) -> None:
        """Remember the disks."""
        with self._lock:
            self._disks.add(server.id)

    def erase(self, server_id: int) -> None:
        """Forget the disks."""
        with self._lock:
            self._disks.discard(server_id)

    def spawn(self, server: WantedServer) -> None:
        """Remember the domain as running."""
        with self._lock:
            self._domains[server.id] = PowerState.RUNNING

    def power_off(self, server_id: int) -> None:
        """Forget the domain."""
        with self._lock:
            self._domains.pop(server_id, None)

    def power_states(self) -> dict[int, PowerState]:
        """What was remembered."""
        with self._lock:
            return dict(self._domains)

    def local_servers(self) -> set[int]:
        """Ids of which anything is remembered."""
        with self._lock:
            return self._plugged | self._disks | set(self._domains)

    def on_change(self, look: Callable[[], None]) -> None:
        """Nothing changes by itself here."""
