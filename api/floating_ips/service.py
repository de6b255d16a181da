"""Allocating and releasing floating addresses."""

from typing import Any

from api.database import read, write
from api.faults import BadRequest, NotFound, OverLimit
from api.wire.body import MALFORMED
from api.wire.fields import path_id
from db import quota
from db.queries import floating_ips
from db.queries.floating_ips import FloatingRow
from db.scope import Scope
from db.settings import settings
from scheduler.nudge import look_at

# Texts of faults (D40).
OVER_QUOTA = "Address quota exceeded. You cannot allocate any more addresses"
NONE_LEFT = "No more floating ips available."
NONE_LEFT_IN_POOL = "No more floating ips in pool {}."


async def show(scope: Scope, floating_id: str) -> FloatingRow:
    """A floating address by the id of a path (R225)."""
    found = await read(floating_ips.find, scope, path_id(floating_id))
    if found is None:
        raise NotFound
    return found


async def allocate(scope: Scope, pool: Any) -> FloatingRow:
    """Give the tenant an address of a pool, of any when there is no name (R223, D80)."""
    if not isinstance(pool, str | None):
        raise BadRequest(MALFORMED)
    pool = (pool or "").strip() or None
    try:
        return await write(
            floating_ips.allocate, scope, pool=pool,
            quarantine=settings().address_quarantine_seconds,
        )  # fmt: skip
    except quota.QuotaExceeded:
        raise OverLimit(OVER_QUOTA) from None
    except floating_ips.UnknownPool:
        raise NotFound from None
    except floating_ips.NoneLeft:
        raise BadRequest(NONE_LEFT_IN_POOL.format(pool) if pool else NONE_LEFT) from None


async def deallocate(scope: Scope, floating_id: str) -> None:
    """Take an address off its server and off its tenant (R225, D42)."""
    hosts = await write(floating_ips.release, scope, path_id(floating_id))
    if hosts is None:
        raise NotFound
    look_at(hosts)
