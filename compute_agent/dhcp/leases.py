"""The agent's side of DHCP: files that dnsmasq reads, and the word that they changed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from compute_agent.dhcp import places, render
from db import log
from db.settings import settings
from db.wanted import WantedNetwork, WantedServer

_logger = log.logger(__name__)


def serve(network: WantedNetwork) -> None:
    """The network is served by dnsmasq. A changed configuration makes its unit restart it."""
    places.make()
    text = render.configuration(
        network,
        settings().bridge,
        settings().dhcp_lease_seconds,
        places.hosts(),
        places.pid_file(),
    )
    if _replace(places.configuration(), text):
        tell(signal.SIGTERM)


def check(server: WantedServer) -> None:
    """Raise Fatal when the server holds a value that must not reach dnsmasq's files."""
    render.lease(server)


def offer(server: WantedServer) -> None:
    """The server's lease is granted, also to a client that asks at this moment."""
    line = render.lease(server)
    places.make()
    if _replace(_file(server.id), line):
        tell(signal.SIGHUP)


def granted(server: WantedServer) -> bool:
    """Whether the server's lease is what it should be."""
    try:
        return _file(server.id).read_text() == render.lease(server)
    except FileNotFoundError:
        return False


def forget(server_id: int) -> None:
    """No lease is granted to the server any more."""
    path = _file(server_id)
    if path.exists():
        path.unlink()
        tell(signal.SIGHUP)


def lease_ids() -> set[int]:
    """Ids of the servers that have a lease."""
    try:
        return {int(path.name) for path in places.hosts().iterdir() if path.name.isdigit()}
    except FileNotFoundError:
        return set()


def tell(message: signal.Signals) -> bool:
    """Signal dnsmasq; False when none runs (its unit starts it, and it then reads everything).

    The process id comes from a file and may be another program's by now: the process is held by a
    descriptor first, then looked at, then signalled.
    """
    try:
        pid = int(places.pid_file().read_text())
        descriptor = os.pidfd_open(pid)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False
    try:
        if not _is_ours(pid):
            _logger.warning("dnsmasq_pid_is_another", pid=pid)
            return False
        signal.pidfd_send_signal(descriptor, message)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def _is_ours(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    ours = f"--conf-file={places.configuration()}".encode()
    return Path(words[0].decode()).name == "dnsmasq" and ours in words


def _file(server_id: int) -> Path:
    return places.hosts() / str(server_id)


def _replace(path: Path, text: str) -> bool:
    """Make ``text`` the contents of the file by rename; False when it had them already."""
    if path.exists() and path.read_text() == text:
        return False
    new = path.with_name(f".{path.name}.new")  # dnsmasq ignores names that begin with a dot
    new.write_text(text)
    new.chmod(0o644)
    new.rename(path)
    return True
