"""What the application serves of the reference, and beside it."""

from __future__ import annotations

from fastapi.routing import APIRoute

from api.app import ROUTERS
from api.wire.document import DESCRIBED
from tests.contract.reference import Operation, blank

#: Paths of the compute API that the reference does not have, by the decision that wants them.
BESIDE = {
    ("GET", "/"): "D21",
    ("GET", "/v2"): "D76",
    ("GET", "/v1.1/{}/servers/{}/os-security-groups"): "D78",
    ("GET", "/v1.1/{}/os-floating-ip-pools"): "D80",
}
#: Starts of paths that are no part of the compute API.
OTHER_SERVICES = {
    "/v2.0": "identity (wire-notes 4.1)",
    "/v1.0": "identity, legacy (wire-notes 4.3)",
    "/auth": "identity, legacy (wire-notes 4.3)",
    "/image": "the look-up of images by name that nova's command asks",
    "/internal": "hosts",
    "/docs": "the description of all this",
    "/openapi": "the description of all this",
}

ROUTES: dict[tuple[str, str], APIRoute] = {
    (method, blank(route.path_format)): route
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in route.methods or ()
}


def route_of(operation: Operation) -> APIRoute | None:
    """The route of an operation; of an action only if its body is one of those that are read."""
    route = ROUTES.get(operation.route)
    if route is None or operation.action is None:
        return route
    assert route.operation_id is not None
    known = {name for name, _ in DESCRIBED[route.operation_id].bodies}
    return route if operation.id in known else None


def is_elsewhere(path: str) -> bool:
    """Whether a path belongs to another service than compute."""
    return any(path == start or path.startswith(f"{start}/") for start in OTHER_SERVICES)
