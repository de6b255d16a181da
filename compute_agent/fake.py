"""A host without a hypervisor, FOR SCALE AND FAULT TESTS ONLY: it boots nothing.

Queues, leases, claims and records are the real ones; only the effects are a dictionary in memory.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from compute_agent import process
from compute_agent.disks.upload import upload
from compute_agent.driver import HostResources, PowerState, Still
from compute_agent.guest_files import Injected
from db.queries.image_changes import StoredBytes
from db.wanted import WantedNetwork, WantedServer
from db.wanted_firewall import WantedFirewall

_DISK_BYTES = 1 << 20


class FakeDriver:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plugged: dict[int, int] = {}  # generation by server
        self._disks: set[int] = set()
        self._domains: dict[int, PowerState] = {}
        self._snapshots: dict[int, bytes] = {}  # by server

    def prepare_network(self, network: WantedNetwork | None) -> None:
        """Nothing to prepare."""

    def prepare_host(self) -> None:
        """Nothing to prepare."""

    def restore(self) -> None:
        """Nothing is kept."""

    def protect(self, wanted: WantedFirewall, *, afresh: bool) -> dict[int, str]:
        """All of it is in force."""
        return {}

    def plugged_generation(self, server_id: int) -> int | None:
        """What was remembered."""
        with self._lock:
            return self._plugged.get(server_id)

    def resources(self) -> HostResources:
        """A host of common size."""
        return HostResources(vcpus=32, ram_mb=262_144, disk_gb=4_000, hypervisor="fake")

    def plug(self, server: WantedServer) -> None:
        """Remember the tap."""
        with self._lock:
            self._plugged[server.id] = server.generation

    def keep_plugged(self, server: WantedServer) -> None:
        """Remember the tap."""
        self.plug(server)

    def unplug(self, server_id: int) -> None:
        """Forget the tap."""
        with self._lock:
            self._plugged.pop(server_id, None)

    def build_disks(self, server: WantedServer) -> Injected:
        """Remember the disks."""
        with self._lock:
            self._disks.add(server.id)
        return Injected()

    def fetch_images(self, server: WantedServer) -> None:
        """Images are not needed here."""

    def rebuild_disks(self, server: WantedServer) -> Injected:
        """Remember the disks."""
        return self.build_disks(server)

    def take_snapshot(self, server_id: int, image_id: int, still: Still) -> None:
        """Remember an empty disk: a small qcow2, but a real one."""
        still()
        with TemporaryDirectory() as directory:
            path = Path(directory) / "disk.qcow2"
            process.run(
                ["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(_DISK_BYTES)],
                timeout=60, limits=process.QEMU_IMG,
            )  # fmt: skip
            with self._lock:
                self._snapshots[server_id] = path.read_bytes()

    def upload_snapshot(self, server_id: int, image_id: int, still: Still) -> StoredBytes:
        """What was remembered, or made again after a restart, goes to the real image store."""
        with self._lock:
            known = server_id in self._snapshots
        if not known:
            self.take_snapshot(server_id, image_id, still)
        with TemporaryDirectory() as directory:
            path = Path(directory) / "disk.qcow2"
            path.write_bytes(self._snapshots[server_id])
            return upload(path, still)

    def discard_snapshots(self, server_id: int) -> None:
        """Forget the copy."""
        with self._lock:
            self._snapshots.pop(server_id, None)

    def copied_servers(self) -> set[int]:
        """Ids of which a copy is remembered."""
        with self._lock:
            return set(self._snapshots)

    def console(self, server_id: int, size: int) -> bytes:
        """Say what this is."""
        with self._lock:
            power = self._domains.get(server_id)
        if power is None:
            return b""
        return f"Server {server_id} is on a fake host, which boots nothing.\n".encode()[-size:]

    def erase(self, server_id: int) -> None:
        """Forget the disks."""
        with self._lock:
            self._disks.discard(server_id)
            self._snapshots.pop(server_id, None)

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
            return set(self._plugged) | self._disks | set(self._domains)

    def on_change(self, look: Callable[[], None]) -> None:
        """Nothing changes by itself here."""

    def on_loss(self, look: Callable[[], None]) -> None:
        """Nothing is lost here."""
