"""The driver of real hosts: network, disks and domains put together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from compute_agent import network, serverdir
from compute_agent.disks import console, disks, snapshot
from compute_agent.disks.cache import ImageCache
from compute_agent.disks.upload import upload
from compute_agent.domain import virtualization
from compute_agent.domain.connection import Connection
from compute_agent.domain.domain import Domains
from compute_agent.driver import HostResources, PowerState, Still
from compute_agent.errors import HostFault
from compute_agent.guest_files import Injected
from db.queries.image_changes import StoredBytes
from db.settings import settings
from db.wanted import WantedNetwork, WantedServer
from db.wanted_firewall import WantedFirewall


class LibvirtDriver:
    """The hands of a real host. Each method says more in the module that does the work."""

    def __init__(self) -> None:
        self._connection = Connection(settings().libvirt_uri)
        self._cache = ImageCache.from_settings()
        self._domains = Domains(self._connection, self._cache)
        disks.empty_trash()

    def prepare_network(self, wanted: WantedNetwork | None) -> None:
        """Bridge and base rules when the zone has a network."""
        if wanted is not None:
            network.prepare_host(wanted)

    def prepare_host(self) -> None:
        """The hypervisor answers; the cache fits."""
        self._domains.known_ids()
        self._cache.room.tidy()

    def restore(self) -> None:
        """From the servers' records and the groups kept on disk."""
        network.restore()

    def protect(self, wanted: WantedFirewall, *, afresh: bool) -> dict[int, str]:
        """Chains of servers and groups, sets of members."""
        return network.protect(wanted, afresh=afresh)

    def plugged_generation(self, server_id: int) -> int | None:
        """That of ``server.json``."""
        record = serverdir.read(server_id)
        return None if record is None else record.wanted.generation

    def resources(self) -> HostResources:
        """Totals of the machine."""
        return virtualization.resources()

    def plug(self, server: WantedServer) -> None:
        """Tap, anti-spoofing, DHCP, NAT, metadata."""
        network.plug(server)

    def keep_plugged(self, server: WantedServer) -> None:
        """As :meth:`plug`, without waiting for the metadata service."""
        network.keep_plugged(server)

    def unplug(self, server_id: int) -> None:
        """Inverse of :meth:`plug`."""
        network.unplug(server_id)

    def build_disks(self, server: WantedServer) -> Injected:
        """Image in the cache, root and ephemeral disk, config drive."""
        return disks.build(server, self._cache)

    def fetch_images(self, server: WantedServer) -> None:
        """Images in the cache."""
        disks.fetch_images(server, self._cache)

    def rebuild_disks(self, server: WantedServer) -> Injected:
        """Root and ephemeral disk and config drive made anew."""
        return disks.rebuild(server, self._cache)

    def take_snapshot(self, server_id: int, image_id: int, still: Still) -> None:
        """Copy of the root disk beside it, by qemu while the guest runs."""
        snapshot.take(server_id, image_id, partial(self._domains.copy_root, server_id), still)

    def upload_snapshot(self, server_id: int, image_id: int, still: Still) -> StoredBytes:
        """That copy is in the image store. Raises HostFault when it is lost."""
        try:
            return upload(snapshot.path_of(server_id, image_id), still)
        except OSError as error:
            raise HostFault(f"cannot read the snapshot: {error}") from error

    def discard_snapshots(self, server_id: int) -> None:
        """No such file, and no job of an agent that was killed still writes to one."""
        if snapshot.leftovers(server_id):
            self._domains.end_copy(server_id)
            snapshot.discard(server_id)

    def copied_servers(self) -> set[int]:
        """Ids of servers with such a file."""
        return snapshot.copied_servers()

    def console(self, server_id: int, size: int) -> bytes:
        """End of the console log."""
        return console.tail(server_id, size)

    def erase(self, server_id: int) -> None:
        """The server's directory with its disks is gone."""
        disks.erase(server_id)

    def spawn(self, server: WantedServer) -> None:
        """Defined from the record as it is now, started, seen running."""
        self._domains.spawn(server)

    def power_off(self, server_id: int) -> None:
        """No domain of the server is left."""
        self._domains.power_off(server_id)

    def power_states(self) -> dict[int, PowerState]:
        """Power states of our domains by server id."""
        return self._domains.power_states()

    def local_servers(self) -> set[int]:
        """Ids of servers of which a directory, tap, rule or domain is here."""
        return serverdir.ids() | network.local_ids() | self._domains.known_ids()

    def on_change(self, look: Callable[[], None]) -> None:
        """Call ``look`` after every lifecycle event of a domain."""
        self._connection.on_change(look)

    def on_loss(self, look: Callable[[], None]) -> None:
        """Call ``look`` after a table of the firewall was deleted."""
        network.on_loss(look)
