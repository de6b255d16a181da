"""The one place through which every request body comes (R20, R30, D26)."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request

from api.faults import BadMediaType, BadRequest, BodyTooLarge
from api.wire.call import Format
from api.wire.shapes import Body
from api.wire.xml import XmlError, name_of, parse

LIMIT = 1 << 20  # bytes
MALFORMED = "Malformed request body"


async def read_body(request: Request, body: Body) -> dict[str, Any]:
    """The map below the root member of a request's body, whether it came as JSON or as XML.

    Raises BadMediaType, BodyTooLarge, or BadRequest when there is no body, it cannot be parsed, or
    its root is another.
    """
    root, value = await read_one_of(request, {body.root: body})
    if root != body.root or not isinstance(value, dict):
        raise BadRequest(MALFORMED)
    return value


async def read_one_of(request: Request, bodies: Mapping[str, Body]) -> tuple[str, Any]:
    """Root and value of a body that may be one of several, by its root.

    An unknown root comes with the value None; a map of none or several members as the root "".
    With one body in question, other members beside its root do not matter (D26).
    """
    data = await _read(request)
    if not data:
        raise BadRequest(MALFORMED)
    return _read_one(request, data, bodies)


async def read_optional(request: Request, body: Body) -> Any:
    """The value below the root of a body that may be missing, whatever its Content-Type (D26).

    None without a body, and for a body of another root.
    """
    data = await _read(request)
    return _read_one(request, data, {body.root: body})[1] if data.strip() else None


def _read_one(request: Request, data: bytes, bodies: Mapping[str, Body]) -> tuple[str, Any]:
    if _format(request.headers.get("content-type", "")) is Format.XML:
        return _read_xml(data, bodies)
    value = _parse(data)
    if not isinstance(value, dict):
        raise BadRequest(MALFORMED)
    if len(bodies) == 1:
        (root,) = bodies
        return root, value.get(root)
    if len(value) != 1:
        return "", None
    ((root, below),) = value.items()
    return root, below


def _read_xml(data: bytes, bodies: Mapping[str, Body]) -> tuple[str, Any]:
    try:
        element = parse(data)
    except XmlError:
        raise BadRequest(MALFORMED) from None
    root = name_of(element)
    return root, bodies[root].read(element) if root in bodies else None


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
