"""Learns at once that somebody deleted a table of the firewall, as ``nft flush ruleset`` does.

The kernel tells whoever listens. Nothing of ours ever deletes a table that is in use.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from db import log

_NETLINK_NETFILTER, _SOL_NETLINK, _ADD_MEMBERSHIP = 12, 270, 1
_NFTABLES_GROUP = 7
_DELETED_TABLE = 10 << 8 | 2  # subsystem nftables, NFT_MSG_DELTABLE
_logger = log.logger(__name__)
_HEADER = struct.Struct("=LHHLL")  # length, type, flags, sequence, port


def on_loss(look: Callable[[], None]) -> None:
    """Call ``look`` from a thread of its own after each such deletion."""

    def listen() -> None:
        try:
            for _ in deletions():
                _logger.warning("a table of the firewall was deleted")
                look()
        except OSError as error:  # what is lost is found by the next round then
            _logger.error("cannot listen to the firewall", error=str(error))

    threading.Thread(target=listen, name="watch", daemon=True).start()


def deletions() -> Iterator[None]:
    """One item for each time that tables may have been deleted in this network namespace.

    Raises OSError when the kernel cannot be listened to.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as listener:
        listener.bind((0, 0))
        listener.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFTABLES_GROUP)
        while True:
            try:
                data = listener.recv(1 << 16)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                yield  # more was said than we could hear
                continue
            if any(kind == _DELETED_TABLE for kind in _kinds(data)):
                yield


def _kinds(data: bytes) -> Iterator[int]:
    """Types of the messages in one datagram."""
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        yield kind
        data = data[max((length + 3) & ~3, _HEADER.size) :]
