"""The arithmetic of leaking buckets, by a clock that the tests turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from api.limits.bucket import SECOND, Bucket, LocalBuckets

MINUTE = 60 * SECOND
GET = Bucket("get", MINUTE, MINUTE // 3000)
LIST = Bucket("get_list", MINUTE, MINUTE // 200)


def bucket(value: int, unit: int = MINUTE, key: str = "rate") -> Bucket:
    return Bucket(key, unit, unit // value)


@dataclass
class Clocked:
    """Buckets, and their clock in microseconds."""

    now: int = 1_700_000_000 * SECOND
    buckets: LocalBuckets = field(init=False)

    def __post_init__(self) -> None:
        self.buckets = LocalBuckets(lambda: self.now)


def test_d13_capacity_is_one_unit_and_the_wait_is_the_overflow() -> None:
    of, ten = Clocked(), bucket(10)
    assert [of.buckets.pour([ten]).admitted for _ in range(11)] == [True] * 10 + [False]
    refused = of.buckets.pour([ten])
    assert ten.wait(refused.water[0]) == 6 * SECOND  # as nova's tests have it
    of.now += 6 * SECOND - 1
    assert not of.buckets.pour([ten]).admitted
    of.now += 1
    assert of.buckets.pour([ten]).admitted
    assert not of.buckets.pour([ten]).admitted


def test_r70_remaining_goes_down_and_recovers() -> None:
    of, ten = Clocked(), bucket(10)
    assert ten.remaining(of.buckets.pour([ten], 0).water[0]) == 10
    left = [ten.remaining(of.buckets.pour([ten]).water[0]) for _ in range(10)]
    assert left == list(range(9, -1, -1))
    of.now += 12 * SECOND
    assert ten.remaining(of.buckets.pour([ten], 0).water[0]) == 2
    of.now += MINUTE
    assert ten.remaining(of.buckets.pour([ten], 0).water[0]) == 10


def test_r73_what_is_refused_counts_in_no_bucket() -> None:
    of = Clocked()
    for _ in range(200):
        assert of.buckets.pour([GET, LIST]).admitted
    for _ in range(50):
        assert not of.buckets.pour([GET, LIST]).admitted
    answer = of.buckets.pour([GET, LIST], 0)
    assert GET.remaining(answer.water[0]) == 2800
    assert LIST.remaining(answer.water[1]) == 0
    assert of.buckets.pour([GET]).admitted


def test_a_clock_set_back_locks_nobody_out() -> None:
    of, ten = Clocked(), bucket(10)
    of.buckets.pour([ten])
    of.now -= 3600 * SECOND
    assert of.buckets.pour([ten], 0).water == (0,)
    assert [of.buckets.pour([ten]).admitted for _ in range(11)] == [True] * 10 + [False]


def test_dry_buckets_are_not_kept_for_ever() -> None:
    of = Clocked()
    for number in range(25_000):
        of.now += SECOND
        of.buckets.pour([bucket(60, key=str(number))])
    assert len(of.buckets._dry_at) <= 10_001


class Nova:
    """nova's own formula (its limits module), in exact fractions of a unit."""

    def __init__(self, value: int, unit: int) -> None:
        self.cost, self.unit = Fraction(unit, value), unit
        self.water, self.last = Fraction(0), 0

    def delay(self, now: int) -> Fraction:
        """0 when the request is admitted, else the microseconds to wait."""
        leaked = max(self.water - (now - self.last), Fraction(0))
        self.water, self.last = leaked, now
        if leaked + self.cost > self.unit:
            return leaked + self.cost - self.unit
        self.water += self.cost
        return Fraction(0)


@given(
    value=st.sampled_from([1, 2, 3, 7, 10, 40, 60, 200, 3000]),
    unit=st.sampled_from([SECOND, MINUTE, 3600 * SECOND]),
    steps=st.lists(st.integers(0, 2 * SECOND), max_size=60),
)
def test_d13_as_nova_decides(value: int, unit: int, steps: list[int]) -> None:
    """Costs are rounded down to microseconds, so a request may pass that much earlier."""
    of, ours, nova = Clocked(), bucket(value, unit), Nova(value, unit)
    nova.last = of.now
    poured = 0
    for step in steps:
        of.now += step
        answer = of.buckets.pour([ours])
        delay = nova.delay(of.now)
        early = delay - ours.wait(answer.water[0]) if not answer.admitted else delay
        assert 0 <= early <= poured + 1
        if answer.admitted != (delay == 0):
            return  # from here on they count different requests
        poured += answer.admitted


@given(value=st.integers(1, 1000), unit=st.sampled_from([SECOND, MINUTE, 3600 * SECOND]))
def test_r68_exactly_the_value_passes_at_once(value: int, unit: int) -> None:
    of, ours = Clocked(), bucket(value, unit)
    assert [of.buckets.pour([ours]).admitted for _ in range(value + 1)] == [True] * value + [False]
    refused = of.buckets.pour([ours], 0)
    of.now += ours.wait(refused.water[0])
    assert of.buckets.pour([ours]).admitted  # R72
