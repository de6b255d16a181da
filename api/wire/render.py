"""The one place through which every answer goes."""

from collections.abc import Mapping

import orjson
from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.faults import Fault
from api.wire.call import Format, call_of
from api.wire.faults import FaultDocument
from api.wire.view import Document
from api.wire.xml import serialize

TYPES = {form: f"{form.value}; charset=UTF-8" for form in Format}  # R27


def encode(document: Document, form: Format) -> bytes:
    """A document in one of the two forms."""
    return serialize(document.xml()) if form is Format.XML else orjson.dumps(document.json())


def render(
    request: HTTPConnection,
    document: Document | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A document in the form that the request asked for; no document, no body (R38)."""
    if document is None:
        return Response(status_code=status, headers=headers)
    form = call_of(request).format
    return Response(
        encode(document, form), status, {**(headers or {}), "Content-Type": TYPES[form]}
    )


def render_fault(request: HTTPConnection, fault: Fault) -> Response:
    """A fault in the form that the request asked for (R84)."""
    document = FaultDocument(fault, identity=call_of(request).identity)
    return render(request, document, fault.status, fault.headers)
