"""The OpenAPI document: what the framework knows of the routes, and what they say of themselves."""

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

from api.auth import authorize
from api.identity.callers import holder
from api.wire.document import DESCRIBED, OF_TENANTS, WITH_TOKEN, describe

TITLE = "Undercast: HP Cloud Compute API v1.1"
ABOUT = """
Bodies are JSON or XML, in both directions and independently of each other: Content-Type names the
form of a request's body; a suffix of the path (`.json`, `.xml`) or else Accept chooses that of the
answer, and of faults. `/v2/{tenant_id}` is the same API under nova's later name.

A token comes from POST /v2.0/tokens. A known path with another method is 405 badMethod, with Allow.
"""
TOKEN = {
    "type": "apiKey",
    "in": "header",
    "name": "X-Auth-Token",
    "description": "A token of the tenant in the path, by POST /v2.0/tokens.",
}


@cache
def openapi(app: FastAPI) -> dict[str, Any]:
    """The document of an application's routes."""
    found = [context.original_route for context in iter_route_contexts(app.routes)]
    routes = [route for route in found if isinstance(route, APIRoute)]
    made = get_openapi(title=TITLE, version="1.1", description=ABOUT, routes=routes)
    for route in routes:
        for method in (route.methods or ()) if route.include_in_schema else ():
            _complete(made["paths"][route.path_format][method.lower()], route)
    made["tags"] = _tags(routes)
    made["components"] = {"securitySchemes": {"token": TOKEN}}
    return made


def _complete(shown: dict[str, Any], route: APIRoute) -> None:
    """Adds what a route says of itself; the framework's own faults are never sent."""
    asks = _calls(route.dependant)
    shown["security"] = [{"token": []}] if asks & {authorize, holder} else []
    shown["responses"].pop("422", None)
    if route.operation_id in DESCRIBED:
        described = describe(
            route.operation_id,
            OF_TENANTS if authorize in asks else WITH_TOKEN if holder in asks else (),
        )
        shown.setdefault("parameters", []).extend(described.pop("parameters", []))
        shown.update(described)


def _calls(dependant: Dependant) -> set[Callable[..., Any] | None]:
    """All that a route depends on, at any depth."""
    below = (_calls(dependency) for dependency in dependant.dependencies)
    return {dependant.call}.union(*below)


def _tags(routes: list[APIRoute]) -> list[dict[str, str]]:
    """Each tag with the docstring of its noun's package."""
    about: dict[str, str] = {}
    for route in routes:
        package = sys.modules[route.endpoint.__module__.rpartition(".")[0]]
        for tag in route.tags:
            about.setdefault(str(tag), (package.__doc__ or "").strip())
    return [{"name": tag, "description": text} for tag, text in about.items()]
