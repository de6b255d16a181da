"""The buckets that all API processes share, in Redis; beside them the process' own.

One round trip decides a request: a script, which Redis runs by itself, does the arithmetic of
:mod:`api.limits.bucket` on all the request's buckets, by Redis' clock. Dry buckets expire.

Redis holds nothing that must be kept and may go at any time: when it is away, or does not answer
within ``PATIENCE``, the process' own buckets decide, at once, and Redis is left alone for ``REST``.
Then one request tries it, while the others go on without.
"""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from api.limits.bucket import Answer, Bucket, LocalBuckets
from db import log
from db.settings import settings

PATIENCE = 0.05  # seconds
REST = 1.0  # seconds
_POUR = """
local at = redis.call('TIME')
local now = at[1] * 1000000 + at[2]
local requests = tonumber(ARGV[1])
local kept = redis.call('MGET', unpack(KEYS))
local water, filled, admitted = {}, {}, 1
for i = 1, #KEYS do
  local capacity, cost = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local left = (tonumber(kept[i] or '') or now) - now
  water[i] = (left >= 0 and left <= capacity) and left or 0
  filled[i] = water[i] + requests * cost
  if filled[i] > capacity then admitted = 0 end
end
if admitted == 0 then return {0, now, unpack(water)} end
if requests > 0 then
  for i = 1, #KEYS do
    local dry_at = now + filled[i]
    local expiry = string.format('%.0f', math.ceil(dry_at / 1000))
    redis.call('SET', KEYS[i], string.format('%.0f', dry_at), 'PXAT', expiry)
  end
end
return {1, now, unpack(filled)}
"""
_logger = log.logger(__name__)


class Buckets:
    """Buckets in the Redis of a URL, else of this process. For one event loop."""

    def __init__(
        self,
        url: str,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = Redis.from_url(
            url,
            protocol=2,  # connects in fewer round trips
            retry=Retry(NoBackoff(), 0),
            socket_timeout=patience,
            socket_connect_timeout=patience,
        )
        self._pour = self._redis.register_script(_POUR)
        self._local = LocalBuckets()
        self._clock = clock
        self._away, self._ask_again = False, 0.0

    async def pour(self, buckets: Sequence[Bucket], requests: int = 1) -> Answer:
        """Pour requests into all buckets, or into none; 0 requests only look. Never fails."""
        if self._clock() >= self._ask_again:
            shared = await self._pour_shared(buckets, requests)
            if shared is not None:
                return shared
        return self._local.pour(buckets, requests)

    async def close(self) -> None:
        """Give back the connections."""
        await self._redis.aclose()

    async def _pour_shared(self, buckets: Sequence[Bucket], requests: int) -> Answer | None:
        """Redis' answer; None when it gives none in time."""
        if self._away:
            self._rest()  # the others
        try:
            admitted, now, *water = await self._pour(
                keys=[bucket.key for bucket in buckets],
                args=[requests, *(n for b in buckets for n in (b.capacity, b.cost))],
            )
        except (RedisError, OSError) as error:
            if not self._away:
                _logger.warning("rates are counted by each process", error=type(error).__name__)
            self._away = True
            self._rest()
            return None
        if self._away:
            _logger.info("rates are counted in Redis again")
            self._away, self._ask_again = False, 0.0
        return Answer(bool(admitted), now, tuple(water))

    def _rest(self) -> None:
        self._ask_again = self._clock() + REST


@lru_cache(maxsize=1)
def buckets() -> Buckets:
    """The buckets of this process. Raises ValueError when the settings' redis_url is no URL."""
    return Buckets(settings().redis_url.get_secret_value())
