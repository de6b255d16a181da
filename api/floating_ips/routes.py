"""os-floating-ips and os-floating-ip-pools (R223-R225, D80)."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.database import read
from api.faults import BadRequest, NotFound, OverLimit
from api.floating_ips import service
from api.floating_ips.bodies import POOL
from api.floating_ips.views import SAMPLE, FloatingView, PoolView
from api.wire.body import read_optional
from api.wire.document import PAGE, operation
from api.wire.pages import page_of
from api.wire.render import render
from api.wire.view import Many, One
from db.queries import floating_ips

router = APIRouter(prefix="/v1.1/{tenant_id}", tags=["floating addresses"])

_ADDRESSES = "/os-floating-ips"
_ONE = One("floating_ip", FloatingView(SAMPLE))
_NO_ADDRESS = (NotFound(), BadRequest(service.NONE_LEFT), OverLimit(service.OVER_QUOTA))


@router.get(
    _ADDRESSES,
    **operation(
        "floating_ips.list", query=PAGE,
        answers=Many("floating_ips", "floating_ip", [FloatingView(SAMPLE)]),
    ),
)  # fmt: skip
async def list_floating_ips(request: Request, caller: Caller) -> Response:
    """The tenant's floating addresses, by id (R224, D68)."""
    page = page_of(request)
    found = await read(floating_ips.list_all, caller.scope)
    shown = page.of(found, lambda floating: floating.id)
    return render(request, Many("floating_ips", "floating_ip", [*map(FloatingView, shown)]))


@router.post(
    _ADDRESSES,
    **operation(
        "floating_ips.allocate", body=POOL, optional=True, answers=_ONE, refuses=_NO_ADDRESS
    ),
)
async def allocate(request: Request, caller: Caller) -> Response:
    """Allocate a floating address (R223); no body is needed (D40, D80)."""
    made = await service.allocate(caller.scope, await read_optional(request, POOL))
    return render(request, One("floating_ip", FloatingView(made)))


@router.get(
    f"{_ADDRESSES}/{{floating_ip_id}}",
    **operation("floating_ips.show", answers=_ONE, refuses=[NotFound()]),
)
async def show_floating_ip(request: Request, caller: Caller, floating_ip_id: str) -> Response:
    """One of them (R225)."""
    found = await service.show(caller.scope, floating_ip_id)
    return render(request, One("floating_ip", FloatingView(found)))


@router.delete(
    f"{_ADDRESSES}/{{floating_ip_id}}",
    **operation("floating_ips.deallocate", status=202, refuses=[NotFound()]),
)
async def deallocate(request: Request, caller: Caller, floating_ip_id: str) -> Response:
    """Give a floating address back, off whatever server it is on (R225, D42)."""
    await service.deallocate(caller.scope, floating_ip_id)
    return render(request, status=202)


@router.get(
    "/os-floating-ip-pools",
    **operation(
        "floating_ip_pools.list",
        answers=Many("floating_ip_pools", "floating_ip_pool", [PoolView(SAMPLE.pool)]),
    ),
)
async def list_pools(request: Request, caller: Caller) -> Response:
    """The pools of the zone, by name (D80)."""
    found = await read(floating_ips.list_pools, caller.scope.zone_id)
    return render(request, Many("floating_ip_pools", "floating_ip_pool", [*map(PoolView, found)]))
