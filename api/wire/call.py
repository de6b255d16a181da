"""What is known of a request beside its route: its :class:`Call`."""

import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from starlette.requests import HTTPConnection

from db.settings import settings

KEY = "undercast.call"
_HOST = re.compile(r"[A-Za-z0-9._\-]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?")


class Format(Enum):
    """The two forms of bodies (R4)."""

    JSON = "application/json"
    XML = "application/xml"


@dataclass(slots=True)
class Call:
    """One request: made by the middleware, filled in on the way."""

    request_id: str
    format: Format = Format.JSON  # of the answer
    accepted: Format = Format.JSON  # what it were without a suffix
    prefix: str = "v1.1"  # first segment of the path, which links keep (D76)
    suffix: str = ""  # ".json" or ".xml" when the path ended so (R23)
    identity: bool = False  # faults have the identity service's form
    tenant_id: str | None = None  # once authorized; for the log


def call_in(scope: MutableMapping[str, Any]) -> Call:
    """The call of an ASGI scope."""
    found: Call = scope[KEY]
    return found


def call_of(request: HTTPConnection) -> Call:
    """The call of a request."""
    return call_in(request.scope)


def host_of(request: HTTPConnection) -> str:
    """Host header in lower case; "" when there is none that a URL could hold."""
    host = request.headers.get("host", "")
    return host.lower() if _HOST.fullmatch(host) else ""


def origin_of(request: HTTPConnection) -> str:
    """Base URL that the client used, without a slash at the end (D34)."""
    host = host_of(request)
    return f"{request.url.scheme}://{host}" if host else settings().public_url.rstrip("/")


def kept(segment: str) -> str:
    """A decoded segment, fit to stand in a path: no slash in it (D72). Undone by names_of."""
    return segment.replace("%", "%25").replace("/", "%2F")


def names_of(request: HTTPConnection, name: str) -> list[str]:
    """What a last path segment may name, best first: an item whose name ends in .json (D24)."""
    name = name.replace("%2F", "/").replace("%25", "%")
    suffix = call_of(request).suffix
    return [name + suffix, name] if suffix else [name]


def found_as(request: HTTPConnection, asked: str, name: str) -> None:
    """``asked``, a last path segment, has found ``name``: a suffix that is part of it is none."""
    if names_of(request, asked)[0] == name:
        call = call_of(request)
        call.format = call.accepted
