"""One listening port per server, opened and closed as the servers' records come and go.

A guest cannot say who it is: the firewall sends each tap's requests to the port of that tap's
server, the port alone decides whose metadata is served, and the guest's address must be the
server's too (security rows 12 and 25). The ports listen on the gateway's address; the firewall
accepts there what was redirected from 169.254.169.254 and nothing else.

Ports follow the records within POLL_SECONDS by one ``stat`` of their common directory; a look
through all records each LOOK_SECONDS makes good whatever that may have missed.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass

from compute_agent import serverdir
from compute_agent.metadata.connections import Connections, bound
from compute_agent.metadata.guest import Guest
from db import log

POLL_SECONDS = 0.02
LOOK_SECONDS = 1.0
CLOSE_SECONDS = 0.1  # for answers under way when a server goes
_BACKLOG = 64
_IP_FREEBIND = 15  # linux/in.h

_logger = log.logger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a server's metadata listens."""

    address: str
    port: int


@dataclass(slots=True)
class _Listener:
    place: _Place
    connections: Connections
    sockets: asyncio.Server


class Service:
    """Listeners of all servers that have a record on this host."""

    def __init__(self) -> None:
        self._listeners: dict[int, _Listener] = {}
        self._seen: dict[int, serverdir.Stamp] = {}  # of the record last looked at

    async def run(self) -> None:
        """Follow the records for ever."""
        while True:
            stamp, end = serverdir.changed(), time.monotonic() + LOOK_SECONDS
            await self.look()
            while serverdir.changed() == stamp and time.monotonic() < end:  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)  # the change is another process's

    async def look(self) -> None:
        """Open the ports of new servers, close those of servers that are gone."""
        current = {
            server_id: stamp
            for server_id in serverdir.ids()
            if (stamp := serverdir.stamp(server_id))
        }
        for server_id in self._listeners.keys() - current.keys():
            if serverdir.stamp(server_id) is None:  # it may have come back since
                await self._close(server_id)
        for server_id, stamp in current.items():
            if self._seen.get(server_id) == stamp and server_id in self._listeners:
                continue
            try:
                await self._open(server_id)
            except OSError as error:  # port taken: the next look tries again, others are served
                _logger.error("metadata_port_failed", server=server_id, error=str(error))
            else:
                self._seen[server_id] = stamp
        self._seen = {key: self._seen[key] for key in self._seen.keys() & current.keys()}

    async def close(self) -> None:
        """Close every port."""
        for server_id in list(self._listeners):
            await self._close(server_id)

    async def _open(self, server_id: int) -> None:
        record = serverdir.read(server_id)
        if record is None:
            return
        place = _Place(record.wanted.network.gateway, record.metadata_port)
        old = self._listeners.get(server_id)
        if old is not None and old.place == place:
            return
        if old is not None:
            await self._close(server_id)
        connections = Connections(Guest(server_id))
        sockets = await asyncio.get_running_loop().create_server(
            connections.admit, sock=_listening(place), backlog=_BACKLOG
        )
        self._listeners[server_id] = _Listener(place, connections, sockets)
        _logger.info("metadata_port_open", server=server_id, port=place.port)

    async def _close(self, server_id: int) -> None:
        listener = self._listeners.pop(server_id)
        listener.sockets.close()
        await listener.connections.shutdown(CLOSE_SECONDS)
        _logger.info("metadata_port_closed", server=server_id, port=listener.place.port)


def _listening(place: _Place) -> socket.socket:
    """Socket bound to the place, which may belong to a bridge that is not there at the moment."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        bound(listener)
        listener.bind((place.address, place.port))
    except BaseException:
        listener.close()
        raise
    return listener
