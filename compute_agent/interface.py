"""The agent's own HTTP interface, on the host's management address only (architecture, section 2).

``GET /console/<server id>`` answers the end of a guest's console as bytes, empty when there is
none. Whoever asks must know the secret of the settings; guests reach neither address nor port. It
runs in a thread with an event loop of its own: reads of small files, nothing else.
"""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import Awaitable, Callable

from aiohttp import web

from db import log
from db.settings import settings

Console = Callable[[int, int], bytes]  # server's id and number of bytes

_REST = 1.0  # seconds between two tries to listen
_LARGEST_ID = 2**63 - 1

_logger = log.logger(__name__)


def application(console: Console) -> web.Application:
    """The interface, which reads consoles by ``console``."""

    async def show_console(request: web.Request) -> web.Response:
        server_id = int(request.match_info["server_id"])
        if server_id > _LARGEST_ID:
            raise web.HTTPNotFound
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(None, console, server_id, settings().console_bytes)
        return web.Response(body=body, content_type="application/octet-stream")

    made = web.Application(middlewares=[_with_secret], client_max_size=1024)
    made.router.add_get(r"/console/{server_id:[0-9]{1,19}}", show_console)
    return made


@web.middleware
async def _with_secret(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Serve those who know the secret; an empty secret fits nobody."""
    secret = settings().internal_secret.get_secret_value()
    given = request.headers.get("Authorization", "")
    if not secret or not hmac.compare_digest(given.encode(), f"Bearer {secret}".encode()):
        raise web.HTTPUnauthorized
    return await handler(request)


def serve(console: Console) -> None:
    """Serve from a thread of this process, as long as it lives."""
    threading.Thread(
        target=asyncio.run, args=(listen(console),), name="interface", daemon=True
    ).start()


async def listen(console: Console) -> None:
    """Serve until it is cancelled, as soon as the address is there and free."""
    address, port = settings().management_address, settings().agent_port
    runner = web.AppRunner(application(console), access_log=None)
    await runner.setup()
    try:
        while True:
            try:
                await web.TCPSite(runner, address, port).start()
            except OSError as error:  # not there yet, or a predecessor still dies
                _logger.warning("cannot listen yet", address=address, port=port, error=str(error))
                await asyncio.sleep(_REST)
            else:
                _logger.info("interface listens", address=address, port=port)
                await asyncio.Event().wait()
    finally:
        await runner.cleanup()
