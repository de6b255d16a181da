"""The connections of one guest: how many there are, and how each ends."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct

from aiohttp import web

from compute_agent.metadata import bounds
from compute_agent.metadata.guest import Guest

_QUIET = logging.getLogger("compute_agent.metadata.http")  # what guests do wrong is their affair
_QUIET.setLevel(logging.CRITICAL)
_TCP_USER_TIMEOUT = 18  # linux/tcp.h; in milliseconds
_NO_LINGER = struct.pack("ii", 1, 0)


class Connections(web.Server):
    """All that are open."""

    def __init__(self, guest: Guest) -> None:
        super().__init__(guest.respond)
        self._guest = guest

    def admit(self) -> asyncio.Protocol:
        """Protocol of a new connection."""
        if len(self.connections) >= bounds.MOST_CONNECTIONS:
            self._guest.note_crowd()
            return _Refusal()
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=_QUIET,
            logger=_QUIET,
            keepalive_timeout=bounds.IDLE_SECONDS,
            lingering_time=bounds.LINGER_SECONDS,
        )


class _Connection(web.RequestHandler):
    """A connection that is served."""

    __slots__ = ()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what was asked before the guest's end was closed, as netcat does, then close."""
        idle = self._waiter is not None and not self._waiter.done()
        self.close()
        return not idle


class _Refusal(asyncio.Protocol):
    """A connection that ends as soon as it is made."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Reset it, so that nothing of it stays in the kernel."""
        if isinstance(transport, asyncio.Transport):
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            transport.abort()


def bound(listener: socket.socket) -> None:
    """The connections that the socket accepts hold little and end when they do not move."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, bounds.SEND_BUFFER)
    timeout = int(bounds.IDLE_SECONDS * 1000)
    listener.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, timeout)
