"""Guests on this host: started from their records, watched, removed.

A domain is ours when it carries our metadata element; all others are not seen and not touched. It
stays defined while its guest is off, so that a guest that stopped by itself is found as such. Every
function looks first and acts on what it finds, and can be repeated after it was stopped anywhere.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt

from compute_agent.config_drive import is_wanted
from compute_agent.disks import places
from compute_agent.disks.cache import ImageCache
from compute_agent.domain import backup, virtualization
from compute_agent.domain.connection import Connection
from compute_agent.domain.xml import NAMESPACE, GuestFiles, domain_xml, marked_id
from compute_agent.driver import PowerState, Still
from compute_agent.errors import HostFault, Retry
from db import log
from db.wanted import WantedServer

_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_SHUTDOWN: PowerState.RUNNING,  # on its way, not off yet
    libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_CRASHED: PowerState.CRASHED,
}
_CRASHES = {libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, libvirt.VIR_DOMAIN_SHUTOFF_FAILED}
_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
)
_VNC_PASSWORD_LENGTH = 8  # the protocol's limit
_VNC_ALPHABET = string.ascii_letters + string.digits

_logger = log.logger(__name__)


class Domains:
    """The domains of this host that belong to servers."""

    def __init__(self, connection: Connection, cache: ImageCache) -> None:
        self._connection = connection
        self._cache = cache

    def spawn(self, server: WantedServer) -> None:
        """Start the server's guest; returns when it is seen running. Its disks and tap are there.

        A guest that runs already is left alone. Raises Retry and HostFault.
        """
        with self._connection.use() as libvirtd:
            domain = _find(libvirtd, server.uuid)
            if domain is None or not domain.isActive():
                definition = domain_xml(
                    server, self._files(server), virtualization.abilities(), _vnc_password()
                )
                domain = libvirtd.defineXML(definition)
                domain.create()
                _logger.info("guest started", server=server.id, domain=server.ec2_id)
            _verify(domain, server)

    def power_off(self, server_id: int) -> None:
        """Leave no domain of the server, running or defined. Raises Retry and HostFault."""
        with self._connection.use() as libvirtd:
            for domain, found in _ours(libvirtd):
                if found == server_id:
                    _remove(domain)
                    _logger.info("guest removed", server=server_id)

    def copy_root(self, server_id: int, target: Path, still: Still) -> bool:
        """Copy the root disk of the server's running guest; False when no guest runs.

        Raises as :func:`compute_agent.domain.backup.copy_disk`.
        """
        with self._connection.use() as libvirtd:
            for domain, found in _ours(libvirtd):
                if found == server_id and domain.isActive():
                    backup.copy_disk(domain, "vda", target, still)
                    return True
        return False

    def end_copy(self, server_id: int) -> None:
        """Nobody copies a disk of the server's guest."""
        with self._connection.use() as libvirtd:
            for domain, found in _ours(libvirtd):
                if found == server_id:
                    backup.end_job(domain)

    def power_states(self) -> dict[int, PowerState]:
        """Power states of our domains by server id."""
        states = {}
        with self._connection.use() as libvirtd:
            for domain, server_id in _ours(libvirtd):
                try:
                    states[server_id] = _power_state(domain)
                except libvirt.libvirtError as error:
                    if not _is_gone(error):
                        raise
        return states

    def known_ids(self) -> set[int]:
        """Ids of the servers that have a domain here, in any state."""
        return set(self.power_states())

    def _files(self, server: WantedServer) -> GuestFiles:
        directory = places.server_directory(server.id)
        cached = self._cache.path
        return GuestFiles(
            root_disk=directory / places.ROOT_DISK,
            base=cached(server.image),
            console_log=directory / places.CONSOLE_LOG,
            ephemeral_disk=directory / places.EPHEMERAL_DISK if server.disk_gb > 0 else None,
            config_drive=directory / places.CONFIG_DRIVE if is_wanted(server) else None,
            kernel=cached(server.kernel) if server.kernel else None,
            ramdisk=cached(server.ramdisk) if server.ramdisk else None,
        )


def _ours(libvirtd: Any) -> Iterator[tuple[Any, int]]:
    """Every domain that is ours, with its server's id."""
    for domain in libvirtd.listAllDomains():
        server_id = _server_id(domain)
        if server_id is not None:
            yield domain, server_id


def _server_id(domain: Any) -> int | None:
    """Id of the server that a domain is marked with; None when it is not ours, or gone."""
    try:
        return marked_id(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE))
    except libvirt.libvirtError as error:
        if _is_gone(error) or error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise


def _find(libvirtd: Any, uuid: str) -> Any | None:
    try:
        return libvirtd.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if _is_gone(error):
            return None
        raise


def _verify(domain: Any, server: WantedServer) -> None:
    """Raise unless the domain is the server's and its guest runs."""
    if _server_id(domain) != server.id:
        raise HostFault(f"domain {server.ec2_id} is not that of server {server.id}")
    state = _power_state(domain)
    if state is PowerState.PAUSED:  # libvirtd is still at it, for an agent that was killed
        raise Retry(f"domain {server.ec2_id} is paused")
    if state is not PowerState.RUNNING:
        raise HostFault(f"domain {server.ec2_id} is {state} after its start")


def _power_state(domain: Any) -> PowerState:
    state, reason = domain.state()
    if state == libvirt.VIR_DOMAIN_SHUTOFF and reason in _CRASHES:
        return PowerState.CRASHED
    return _STATES.get(state, PowerState.SHUTOFF)


def _remove(domain: Any) -> None:
    """Destroy and undefine; each may have happened already."""
    for act in (domain.destroy, lambda: domain.undefineFlags(_UNDEFINE)):
        try:
            act()
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID and not _is_gone(error):
                raise


def _is_gone(error: libvirt.libvirtError) -> bool:
    return bool(error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN)


def _vnc_password() -> str:
    return "".join(secrets.choice(_VNC_ALPHABET) for _ in range(_VNC_PASSWORD_LENGTH))
