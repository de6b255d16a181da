"""Leaking buckets: nova's way to limit rates (D13), in whole microseconds.

A bucket holds one unit of time. Each request pours in unit/value, the bucket leaks as time passes,
and a request that would make it overflow is refused; the overflow is how long to wait. All that is
kept of a bucket is when it will be dry, so a bucket that is dry is kept nowhere.

A request pours into several buckets, into all or into none: what is refused counts nowhere. The
``limits`` package knows windows, but neither leaking buckets nor several at once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SECOND = 1_000_000  # microseconds
_MANY = 10_000  # buckets kept before the dry ones are looked for


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket's name, what it holds, and what a request pours in, in microseconds."""

    key: str
    capacity: int
    cost: int

    def remaining(self, water: int) -> int:
        """How many requests fit in above ``water``."""
        return max(self.capacity - water, 0) // self.cost

    def wait(self, water: int) -> int:
        """Microseconds until one request fits in above ``water``."""
        return max(water + self.cost - self.capacity, 0)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether requests were poured in; the time, and the water in each bucket then."""

    admitted: bool
    now: int  # microseconds since 1970
    water: tuple[int, ...]


def microseconds() -> int:
    """The time since 1970."""
    return time.time_ns() // 1000


class LocalBuckets:
    """Buckets of this process."""

    def __init__(self, clock: Callable[[], int] = microseconds) -> None:
        self._clock = clock
        self._dry_at: dict[str, int] = {}

    def pour(self, buckets: Sequence[Bucket], requests: int = 1) -> Answer:
        """Pour requests into all buckets, or into none; 0 requests only look."""
        now = self._clock()
        water = tuple(
            _water(self._dry_at.get(bucket.key, now) - now, bucket.capacity) for bucket in buckets
        )
        filled = tuple(
            level + requests * bucket.cost for level, bucket in zip(water, buckets, strict=True)
        )
        if any(level > bucket.capacity for level, bucket in zip(filled, buckets, strict=True)):
            return Answer(False, now, water)
        if requests:
            self._keep(buckets, filled, now)
        return Answer(True, now, filled)

    def _keep(self, buckets: Sequence[Bucket], filled: Sequence[int], now: int) -> None:
        for bucket, level in zip(buckets, filled, strict=True):
            self._dry_at[bucket.key] = now + level
        if len(self._dry_at) > _MANY:
            self._dry_at = {key: at for key, at in self._dry_at.items() if at > now}


def _water(left: int, capacity: int) -> int:
    """What has not leaked out. More than full is nonsense, as after a clock was set back: dry."""
    return left if 0 <= left <= capacity else 0
