"""The one middleware: what every request and answer has in common, before and after routing.

It gives the request an id, decides the form of the answer, and turns what clients write into the
one path that routes know: slashes at the end and repeated ones do not count (D23, D77), a format
suffix is cut off (D24), /v2 is /v1.1 (D76), a version root with a login in its headers is /auth
(wire-notes 4.3), HEAD is GET without the body (D25). The path is split before it is decoded, and a
slash in a name stays encoded for the routes, so that %2F and %2E are part of the name and never of
the way to it (D72, D24). Requests of the internal socket see /internal only, those of the public
one never do.
"""

import re
import time
import uuid
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.faults import NotFound
from api.wire.call import KEY, Call, kept
from api.wire.negotiation import accepted, split_suffix
from api.wire.render import render_fault
from db import log
from db.settings import settings

REQUEST_ID = "X-Compute-Request-Id"
_TOKENS = re.compile(r"(?<=/tokens/)[^/]+|HPAuth_\w+")
_LOGINS = (["v1.0"], ["v1.1"])
_logger = log.logger("api")


class Wire:
    """ASGI middleware around the application. The server gives the Date header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other kinds of connections pass through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        call, path = _read(scope)
        answer = _Answer(scope["method"], call, send)
        scope = {**scope, KEY: call}  # the server goes on using its own
        if scope["method"] == "HEAD" and not _is_internal(scope):
            scope["method"] = "GET"
        with log.bind(request_id=call.request_id):
            try:
                if path is None:
                    await render_fault(Request(scope), NotFound())(scope, receive, answer.send)
                else:
                    scope["path"] = path
                    await self.app(scope, receive, answer.send)
            except Exception:
                if not answer.status:  # else answered and logged by the handler of defects
                    raise
            finally:
                answer.log(scope["path"])


class _Answer:
    """Passes the answer on, with the headers of every answer, and notes its status."""

    def __init__(self, method: str, call: Call, send: Send) -> None:
        self.method, self.call, self._send = method, call, send
        self.status = 0
        self._started = time.perf_counter()

    async def send(self, message: Message) -> None:
        """One ASGI message; a HEAD request gets no body."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[REQUEST_ID] = self.call.request_id
        elif self.method == "HEAD" and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    def log(self, path: str) -> None:
        """One line a request, without what is secret."""
        _logger.info(
            "request",
            method=self.method,
            path=_TOKENS.sub("HPAuth_...", path),
            status=self.status,
            ms=round((time.perf_counter() - self._started) * 1000, 1),
            tenant=self.call.tenant_id,
        )


def _read(scope: Scope) -> tuple[Call, str | None]:
    """The call of a request and the path that it is routed by; None: nothing is there."""
    headers = Headers(scope=scope)
    form = accepted(headers.get("accept", ""))
    call = Call(request_id=f"req-{uuid.uuid4()}", format=form, accepted=form)
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    segments = [part for part in raw.decode("latin-1").partition("?")[0].split("/") if part]
    if segments:
        segments[-1], call.suffix, suffixed = split_suffix(segments[-1])
        call.format = suffixed or form
    segments = [kept(unquote(part)) for part in segments]
    if segments in _LOGINS and ("x-auth-user" in headers or "x-auth-key" in headers):
        segments.insert(0, "auth")
    call.identity = segments[:1] in (["v2.0"], ["auth"])
    if segments[:1] == ["v2"] and len(segments) > 1 and settings().v2_alias:
        call.prefix, segments[0] = "v2", "v1.1"
    path = "/" + "/".join(segments)
    hidden = (segments[:1] == ["internal"]) != _is_internal(scope)
    return call, None if hidden or "\0" in path else path


def _is_internal(scope: Scope) -> bool:
    """Whether a request came by the internal socket."""
    address, port = scope.get("server") or ("", None)
    internal = settings().internal_address
    return port == settings().internal_port and internal in {address, "0.0.0.0"}  # noqa: S104
