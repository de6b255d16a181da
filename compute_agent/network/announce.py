"""Gratuitous ARP: neighbours on the public network learn at once where an address is now.

Hosts do not ask each other. A host that takes an address says so while the former one may still
answer for it, as long as its agent has not looked yet, and whoever asks just then may believe the
wrong one. So a new address is announced again soon, and every address from time to time, but
never one that was given up meanwhile. An agent that is cut off from the database reminds nobody:
where two hosts hold an address, only the one that the database means speaks up.
"""

from __future__ import annotations

import fcntl
import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address

from compute_agent.errors import HostFault
from db import log

SOON = (0.3, 1.0)  # seconds after the first announcement of an address
REMINDER = 25.0  # seconds between those of an old one; reconcile comes by every 30 s

_SIOCGIFHWADDR = 0x8927
_BROADCAST = b"\xff" * 6
_ETHERTYPE_ARP = 0x0806
_ETHERNET_IPV4 = struct.pack("!HHBB", 1, 0x0800, 6, 4)
_REQUEST = 1

_logger = log.logger(__name__)
_last: dict[tuple[bytes, str], float] = {}  # when an address was announced, by sender's MAC


def frame(mac: bytes, address: IPv4Address) -> bytes:
    """An ARP announcement (RFC 5227): sender and target are both ``address``."""
    return (
        _BROADCAST
        + mac
        + struct.pack("!H", _ETHERTYPE_ARP)
        + _ETHERNET_IPV4
        + struct.pack("!H", _REQUEST)
        + mac
        + address.packed
        + bytes(6)
        + address.packed
    )


def announce(interface: str, addresses: Iterable[str], *, pause: float = 0.0) -> None:
    """Send one announcement for each address that had none within the last ``pause`` seconds.

    Raises HostFault when the interface cannot send.
    """
    if not addresses:
        return
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((interface, 0))
            request = struct.pack("256s", interface.encode())
            mac = fcntl.ioctl(sender.fileno(), _SIOCGIFHWADDR, request)[18:24]
            now = time.monotonic()
            for address in sorted(addresses):
                if now - _last.get((mac, address), -math.inf) >= pause:
                    sender.send(frame(mac, IPv4Address(address)))
                    _last[mac, address] = now
    except OSError as error:
        raise HostFault(f"cannot announce addresses on {interface}: {error}") from None


def remind(interface: str, addresses: Iterable[str]) -> None:
    """Announce addresses that were not for a while; what cannot be sent now is sent some day."""
    try:
        announce(interface, addresses, pause=REMINDER)
    except HostFault as error:
        _logger.warning("nobody reminded", error=str(error))


def soon_again(act: Callable[[], None]) -> None:
    """Call ``act`` at each of the times SOON from now, without waiting for it."""
    threading.Thread(target=_again, args=(act,), name="announce", daemon=True).start()


def _again(act: Callable[[], None]) -> None:
    begun = time.monotonic()
    for moment in SOON:
        time.sleep(max(0.0, begun + moment - time.monotonic()))
        try:
            act()
        except HostFault as error:
            _logger.warning("not announced again", error=str(error))
