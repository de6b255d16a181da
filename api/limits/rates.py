"""Rates in force for a tenant in a zone, and what is left of them (R66-R73, D12, D13).

Counted is every authorized request below a tenant's path, whatever becomes of it. The native
interface and any other share the buckets (R66): they are a tenant's in a zone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.requests import Request

from api.faults import RateLimited
from api.limits.bucket import SECOND, Bucket
from api.limits.shared import buckets
from db.rates import SECONDS, UNLIMITED, Rate
from db.scope import Scope
from db.settings import settings


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a rate: how many requests now, and when the next one may come."""

    rate: Rate
    remaining: int
    next_available: datetime


def in_force(own: Mapping[str, int]) -> tuple[Rate, ...]:
    """The settings' rates with a tenant's own values; those that are unlimited are left out."""
    rates = settings().rates
    if own:
        rates = tuple(
            rate.model_copy(update={"value": own.get(rate.name, rate.value)}) for rate in rates
        )
    return tuple(rate for rate in rates if rate.value != UNLIMITED)


async def admit(
    scope: Scope, rates: Sequence[Rate], verb: str, path: str, *, of_list: bool
) -> None:
    """Count a request to ``path``, such as /servers/12, below a tenant's.

    Raises RateLimited, and counts it nowhere, when a rate does not allow it now.
    """
    counting = [rate for rate in rates if rate.counts(verb, path, of_list=of_list)]
    if not counting:
        return
    poured = [_bucket(scope, rate) for rate in counting]
    answer = await buckets().pour(poured)
    if answer.admitted:
        return
    waits = [bucket.wait(water) for bucket, water in zip(poured, answer.water, strict=True)]
    longest = max(waits)
    raise _refusal(counting[waits.index(longest)], longest)


async def admit_request(scope: Scope, rates: Sequence[Rate], request: Request) -> None:
    """As :func:`admit`, for a request that has found its route.

    A list is what a path names that does not end in an item's id: servers, servers/detail, limits.
    """
    path = request.scope["path"].removeprefix(f"/v1.1/{scope.tenant_id}")
    of_list = not request.scope["route"].path.endswith("}")
    await admit(scope, rates, request.method, path, of_list=of_list)


async def left(scope: Scope, rates: Sequence[Rate]) -> list[Left]:
    """What is left of each rate (R69, R70)."""
    if not rates:
        return []
    looked = [_bucket(scope, rate) for rate in rates]
    answer = await buckets().pour(looked, 0)
    return [
        Left(rate, bucket.remaining(water), _available(answer.now, bucket.wait(water)))
        for rate, bucket, water in zip(rates, looked, answer.water, strict=True)
    ]


def _bucket(scope: Scope, rate: Rate) -> Bucket:
    unit = SECONDS[rate.unit] * SECOND
    key = f"undercast:rate:{scope.zone_id}:{scope.tenant_id}:{rate.name}"
    return Bucket(key, unit, max(unit // rate.value, 1))


def _available(now: int, wait: int) -> datetime:
    """The second in which a request may come: this one, or one when it is sure to fit."""
    seconds = (now if not wait else now + wait + SECOND - 1) // SECOND
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _refusal(rate: Rate, wait: int) -> RateLimited:
    return RateLimited(
        f"Only {rate.value} {rate.verb} request(s) can be made to {rate.uri}"
        f" every {rate.unit.lower()}.",
        max((wait + SECOND - 1) // SECOND, 1),
    )
