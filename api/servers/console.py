"""What guests wrote to their consoles, asked of the agents of their hosts (R207, D38)."""

import httpx

from api.faults import ServiceUnavailable
from db import log
from db.settings import settings

_TIMEOUT = httpx.Timeout(5.0, connect=2.0)  # seconds without progress

_logger = log.logger(__name__)


async def console_of(host_address: str | None, server_id: int) -> bytes:
    """End of a server's console, at most ``settings().console_bytes``; b"" before it has a host.

    ``host_address`` is the management address of the server's host. Raises ServiceUnavailable when
    the host does not answer.
    """
    if host_address is None:
        return b""
    url = f"http://{host_address}:{settings().agent_port}/console/{server_id}"
    secret = settings().internal_secret.get_secret_value()
    headers = {"Authorization": f"Bearer {secret}", "Accept-Encoding": "identity"}
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False, headers=headers) as client:
            return await _end(client, url, settings().console_bytes)
    except httpx.HTTPError as error:
        _logger.warning("console not read", server=server_id, url=url, error=repr(error))
        raise ServiceUnavailable from None


async def _end(client: httpx.AsyncClient, url: str, most: int) -> bytes:
    """The last ``most`` bytes of an answer of 200. Raises httpx.HTTPError."""
    found = b""
    async with client.stream("GET", url) as answer:
        answer.raise_for_status()
        async for chunk in answer.aiter_raw():
            found = (found + chunk)[-most:]
    return found
