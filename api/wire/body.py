"""The one place through which every request body comes (R20, R30, D26)."""

from typing import Any

import orjson
from starlette.requests import Request

from api.faults import BadMediaType, BadRequest, BodyTooLarge
from api.wire.call import Format

LIMIT = 1 << 20  # bytes
MALFORMED = "Malformed request body"


async def read_body(request: Request, root: str) -> dict[str, Any]:
    """The map below the root member of a request's body.

    Raises BadMediaType, BodyTooLarge, or BadRequest when there is no body, it cannot be parsed, or
    its root is another.
    """
    data = await _read(request)
    if not data:
        raise BadRequest(MALFORMED)
    if _format(request.headers.get("content-type", "")) is Format.XML:
        raise BadMediaType  # bodies in XML are not read yet
    value = _parse(data)
    if not isinstance(value, dict) or not isinstance(value.get(root), dict):
        raise BadRequest(MALFORMED)
    found: dict[str, Any] = value[root]
    return found


async def _read(request: Request) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > LIMIT:
            raise BodyTooLarge
    return bytes(data)


def _format(content_type: str) -> Format:
    """Form that a Content-Type names; its charset, if any, must be UTF-8."""
    name, *parameters = content_type.split(";")
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "charset" and value.strip(" \"'").lower() not in {
            "utf-8",
            "utf8",
        }:
            raise BadMediaType
    try:
        return Format(name.strip().lower())
    except ValueError:
        raise BadMediaType from None


def _parse(data: bytes) -> Any:
    """JSON value; the last of duplicate members wins. NUL, which no record can hold, is refused."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise BadRequest(MALFORMED) from None
    if b"\\u0000" in data and _holds_nul(value):
        raise BadRequest(MALFORMED)
    return value


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or _holds_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_holds_nul, value))
