"""GET limits (R64, R69)."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.database import read
from api.limits import rates
from api.limits.views import SAMPLE, SAMPLE_LEFT, LimitsView
from api.wire.document import operation
from api.wire.render import render
from api.wire.view import One
from db import quota

router = APIRouter(prefix="/v1.1/{tenant_id}/limits", tags=["limits"])


@router.get("", **operation("limits.list", answers=One("limits", LimitsView(SAMPLE, SAMPLE_LEFT))))
async def list_limits(request: Request, caller: Caller) -> Response:
    """The limits of tenant and zone (R57, R64), and what is left of the rates now (R69)."""
    limits = await read(quota.limits, caller.scope.tenant_id, caller.scope.zone_id)
    left = await rates.left(caller.scope, caller.rates)
    return render(request, One("limits", LimitsView(limits, left)))
