"""What a route says of itself in the OpenAPI document served at /docs (R2, R4).

Nothing here decides anything: bodies are those that :mod:`api.wire.body` reads, answers are shown
by the very views that make them, from a sample record, and faults by their classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from starlette.responses import Response

from api import faults
from api.faults import Fault
from api.wire.call import Format
from api.wire.faults import FaultDocument
from api.wire.links import Links
from api.wire.shapes import Body
from api.wire.view import Document
from api.wire.xml import serialize

EVERYWHERE: tuple[Fault, ...] = (faults.ServerFault(), faults.ServiceUnavailable())
WITH_TOKEN: tuple[Fault, ...] = (faults.Unauthorized("https://identity.example/v2.0/"),)
OF_TENANTS: tuple[Fault, ...] = (
    *WITH_TOKEN,
    faults.RateLimited("Only 10 PUT request(s) can be made to /{suburi} every minute.", 6),
)
WITH_BODY: tuple[Fault, ...] = (
    faults.BadRequest("Malformed request body"),
    faults.BadMediaType(),
    faults.BodyTooLarge(),
)


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter."""

    name: str
    about: str
    type: str = "string"


#: Where the links of examples point to.
LINKS = Links("https://az-1.region-a.geo-1.compute.example", "v1.1", "36991859863737")
PAGE = (
    Query("limit", "Most items, at most 1000 (D10)", "integer"),
    Query("marker", "Id of the last item of the page before (D11)"),
)


@dataclass(frozen=True, slots=True)
class Described:
    """What a route documents: the arguments of :func:`operation`."""

    answers: Document | None
    status: int
    also: Mapping[int, Document]
    bodies: Sequence[tuple[str, Body]]
    query: Sequence[Query]
    refuses: Sequence[Fault]
    optional: bool


#: What the routes document, by operation id.
DESCRIBED: dict[str, Described] = {}


def operation(
    operation_id: str,
    *,
    answers: Document | None = None,
    status: int = 200,
    also: Mapping[int, Document] = MappingProxyType({}),
    bodies: Sequence[tuple[str, Body]] = (),
    body: Body | None = None,
    optional: bool = False,
    query: Sequence[Query] = (),
    refuses: Sequence[Fault] = (),
) -> dict[str, Any]:
    """Arguments for a route's decorator: its name in the reference and all that it documents.

    ``bodies``: where one path takes several operations, the name and body of each. ``also``: what
    some of them answer with another status. ``optional``: the body may be left out.
    """
    taken = list(bodies) or ([(operation_id, body)] if body else [])
    DESCRIBED[operation_id] = Described(answers, status, also, taken, query, refuses, optional)
    return {"operation_id": operation_id, "status_code": status, "response_class": Response}


def describe(operation_id: str, more: Sequence[Fault]) -> dict[str, Any]:
    """Members of an operation of the OpenAPI document, made when it is asked for.

    ``more``: faults of all operations of its kind.
    """
    of = DESCRIBED[operation_id]
    refuses = [*of.refuses, *(WITH_BODY if of.bodies else ()), *more, *EVERYWHERE]
    answers = {of.status: of.answers, **of.also}
    shown = {status: _answer(document) for status, document in answers.items()}
    made: dict[str, Any] = {"responses": shown | _faults(refuses)}
    if of.query:
        made["parameters"] = [_parameter(query) for query in of.query]
    if of.bodies:
        made["requestBody"] = {**_request(of.bodies), "required": not of.optional}
    return made


def _parameter(query: Query) -> dict[str, Any]:
    schema = {"type": query.type}
    return {"name": query.name, "in": "query", "description": query.about, "schema": schema}


def _request(bodies: Sequence[tuple[str, Body]]) -> dict[str, Any]:
    schemas = [{"title": name, **body.schema()} for name, body in bodies]
    json_examples = {n: {"value": {body.root: body.shape.example}} for n, body in bodies}
    xml_examples = {n: {"value": _text(body)} for n, body in bodies}
    return {
        "content": {
            Format.JSON.value: {
                "schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas},
                "examples": json_examples,
            },
            Format.XML.value: {"schema": {"type": "string"}, "examples": xml_examples},
        },
    }


def _text(body: Body) -> str:
    return serialize(body.write(body.shape.example)).decode()


def _answer(document: Document | None) -> dict[str, Any]:
    if document is None:
        return {"description": "Done, without a body"}
    return {"description": "Done", "content": _content(document)}


def _content(document: Document) -> dict[str, Any]:
    as_json = json.loads(json.dumps(document.json()))
    return {
        Format.JSON.value: {"schema": {"type": "object"}, "example": as_json},
        Format.XML.value: {
            "schema": {"type": "string"},
            "example": serialize(document.xml()).decode(),
        },
    }


def _faults(given: Sequence[Fault]) -> dict[int | str, dict[str, Any]]:
    """By status; several of one status share an entry, with the first as the example."""
    by_status: dict[int, list[Fault]] = {}
    for fault in given:
        by_status.setdefault(fault.status, []).append(fault)
    return {
        status: {
            "description": f"{same[0].root}: " + " / ".join(fault.message for fault in same),
            "content": _content(FaultDocument(same[0])),
        }
        for status, same in by_status.items()
    }
