"""Gratuitous ARP: neighbours on the public network learn at once where an address is now."""

from __future__ import annotations

import fcntl
import socket
import struct
from ipaddress import IPv4Address

from compute_agent.errors import HostFault

_SIOCGIFHWADDR = 0x8927
_BROADCAST = b"\xff" * 6
_ETHERTYPE_ARP = 0x0806
_ETHERNET_IPV4 = struct.pack("!HHBB", 1, 0x0800, 6, 4)
_REQUEST = 1


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


def announce(interface: str, addresses: frozenset[str]) -> None:
    """Send one announcement for each address. Raises HostFault when the interface cannot send."""
    if not addresses:
        return
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((interface, 0))
            request = struct.pack("256s", interface.encode())
            mac = fcntl.ioctl(sender.fileno(), _SIOCGIFHWADDR, request)[18:24]
            for address in sorted(addresses):
                sender.send(frame(mac, IPv4Address(address)))
    except OSError as error:
        raise HostFault(f"cannot announce addresses on {interface}: {error}") from None
