"""The one place through which every answer goes."""

from collections.abc import Mapping

import orjson
from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.faults import Fault
from api.wire.call import call_of
from api.wire.view import Plain, View

JSON = "application/json; charset=UTF-8"


def render(
    request: HTTPConnection,
    view: View | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A view in the form that the request asked for; no view, no body (R38).

    XML is not written yet: whatever was asked, the form is JSON.
    """
    _ = call_of(request).format
    if view is None:
        return Response(status_code=status, headers=headers)
    body = orjson.dumps(view.json())
    return Response(body, status, {**(headers or {}), "Content-Type": JSON})


def render_fault(request: HTTPConnection, fault: Fault) -> Response:
    """A fault in the form that the request asked for (R84)."""
    body = fault.identity_body() if call_of(request).identity else fault.body()
    return render(request, Plain(body), fault.status, fault.headers)
