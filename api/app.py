"""The application: routes, and what errors become."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from api.docs import routes as docs
from api.extensions import routes as extensions
from api.faults import BadMethod, BadRequest, Fault, NotFound, ServerFault, ServiceUnavailable
from api.flavors import routes as flavors
from api.floating_ips import routes as floating_ips
from api.identity import legacy as identity_legacy
from api.identity import routes as identity
from api.identity.access_keys import routes as access_keys
from api.image_lookup import routes as image_lookup
from api.images import routes as images
from api.internal import routes as internal
from api.keypairs import routes as keypairs
from api.limits import routes as limits
from api.limits.shared import buckets
from api.metadata import routes as metadata
from api.security_groups import routes as security_groups
from api.servers import routes as servers
from api.versions import routes as versions
from api.wire.call import call_of
from api.wire.middleware import Wire
from api.wire.render import render_fault
from db import log
from db.engine import async_engine

ROUTERS: tuple[APIRouter, ...] = (
    versions.router,
    identity.router,
    access_keys.router,
    identity_legacy.router,
    extensions.router,
    limits.router,
    flavors.router,
    images.router,
    image_lookup.router,
    keypairs.router,
    servers.router,
    metadata.of_servers,
    metadata.of_images,
    security_groups.router,
    floating_ips.router,
    docs.router,
    internal.router,
)
_logger = log.logger(__name__)


def create_app() -> ASGIApp:
    """The ASGI application of one process. Connects to Postgres at its first request."""
    app = FastAPI(
        openapi_url=None,  # api.docs serves it
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(Fault, _on_fault)
    app.add_exception_handler(HTTPException, _on_routing)
    app.add_exception_handler(RequestValidationError, _on_bad_value)
    app.add_exception_handler(DataError, _on_bad_value)
    app.add_exception_handler(ClientDisconnect, _on_bad_value)
    for away in (OperationalError, InterfaceError, PoolTimeout, ConnectionError):
        app.add_exception_handler(away, _on_database_away)
    app.add_exception_handler(Exception, _on_defect)
    return Wire(app)


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    shared = buckets()  # wrong settings end the start, not each request
    yield
    await shared.close()
    await async_engine().dispose()


def methods_at(path: str) -> set[str]:
    """The methods that a path has; HEAD comes with GET (D25)."""
    found: set[str] = set()
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.path_regex.match(path):
                found |= route.methods or set()
    return found | {"HEAD"} if "GET" in found else found


async def _on_fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, Fault)
    return render_fault(request, error)


async def _on_routing(request: Request, error: Exception) -> Response:
    """Unknown paths and methods (R89, R90, D25)."""
    assert isinstance(error, HTTPException)
    methods = methods_at(request.scope["path"])
    if error.status_code == 405 and methods:
        return render_fault(request, BadMethod(request.method, methods))
    return render_fault(request, NotFound() if error.status_code in (404, 405) else BadRequest())


async def _on_bad_value(request: Request, error: Exception) -> Response:
    """What slipped through our own checks; the framework's texts never leave."""
    _logger.warning("value refused late", error=type(error).__name__)
    return render_fault(request, BadRequest())


async def _on_database_away(request: Request, error: Exception) -> Response:
    """Postgres is away, or too busy to answer in time (R88)."""
    _logger.error("database away", error=str(error).splitlines()[0])
    return render_fault(request, ServiceUnavailable())


async def _on_defect(request: Request, error: Exception) -> Response:
    """A defect of ours: the traceback is logged, the client gets the request id (R87)."""
    request_id = call_of(request).request_id
    with log.bind(request_id=request_id):
        _logger.error("defect", exc_info=error)
    return render_fault(request, ServerFault(details=f"Request id: {request_id}"))
