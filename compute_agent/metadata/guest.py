"""What one guest is answered: from its server's record as it is on the disk, at the cost of a stat.

The tree is made again whenever the record is another one, so an answer is never older than the
record. No header is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from compute_agent import serverdir
from compute_agent.metadata import nodes, tree
from compute_agent.metadata.bounds import Pace, Seldom
from compute_agent.metadata.nodes import Directory
from db import log
from db.wanted import WantedServer

BROKEN = "An unknown error has occurred. Please try your request again."  # wire notes 5.1
_HEADERS = {"Server": "Undercast"}

_logger = log.logger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a record with this stamp says."""

    stamp: serverdir.Stamp
    address: str
    root: Directory


class Guest:
    """Answers to the guest of one server."""

    def __init__(self, server_id: int) -> None:
        self.server_id = server_id
        self._known: _Known | None = None
        self._pace = Pace()
        self._refused, self._crowded, self._failed = Seldom(), Seldom(), Seldom()

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request that came in by the port of this guest."""
        try:
            await self._pace.keep()
            return self._answer(request)
        except Exception as error:
            if self._failed.due():
                _logger.exception("metadata_failed", server=self.server_id, error=str(error))
            return web.Response(status=500, text=BROKEN, headers=_HEADERS)

    def note_crowd(self) -> None:
        """A connection too many was refused."""
        if self._crowded.due():
            _logger.warning("metadata_connections_refused", server=self.server_id)

    def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={**_HEADERS, "Allow": "GET, HEAD"})
        known = self._look()
        if known is None or request.remote != known.address:
            if self._refused.due():
                _logger.warning("metadata_refused", server=self.server_id, peer=request.remote)
            return web.Response(status=404, headers=_HEADERS)
        found = nodes.find(known.root, request.rel_url.raw_path)
        _logger.debug("metadata", server=self.server_id, path=request.raw_path, found=bool(found))
        if found is None:
            return web.Response(status=404, headers=_HEADERS)
        return web.Response(body=found.body, content_type=found.content_type, headers=_HEADERS)

    def _look(self) -> _Known | None:
        """What the record says now; None without one."""
        stamp = serverdir.stamp(self.server_id)
        if stamp is None:
            self._known = None
        elif self._known is None or self._known.stamp != stamp:
            record = serverdir.read(self.server_id)
            self._known = None if record is None else _known(stamp, record.wanted)
        return self._known


def _known(stamp: serverdir.Stamp, server: WantedServer) -> _Known:
    return _Known(stamp, server.fixed_address, tree.root(server))
