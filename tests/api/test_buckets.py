"""The buckets in Redis: exact, equal to the local ones, and never in the way."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.limits.bucket import SECOND, Answer, Bucket, LocalBuckets
from api.limits.shared import REST, Buckets
from tests.redis_server import RedisServer, redis_server

DAY = 86400 * SECOND
TEN, FORTY = Bucket("ten", DAY, DAY // 10), Bucket("forty", DAY, DAY // 40)
LONG = 30.0  # seconds that Redis is waited for, where its answer is what is tested

T = TypeVar("T")


def run(url: str, use: Callable[[Buckets], Coroutine[Any, Any, T]], **options: Any) -> T:
    """What ``use`` gives, with buckets of its own and in an event loop of its own."""

    async def within() -> T:
        buckets = Buckets(url, **{"patience": LONG, **options})
        try:
            return await use(buckets)
        finally:
            await buckets.close()

    return asyncio.run(within())


def admitted(url: str, wanted: int) -> int:
    """How many of many simultaneous requests are admitted to both buckets."""

    async def ask(buckets: Buckets) -> int:
        answers = await asyncio.gather(*(buckets.pour([FORTY, TEN]) for _ in range(wanted)))
        return sum(answer.admitted for answer in answers)

    return run(url, ask)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with redis_server() as made:
        yield made


@pytest.fixture
def empty_redis(redis: RedisServer) -> RedisServer:
    redis.client.flushall()
    return redis


def test_r66_exactly_the_capacity_is_admitted_to_many_processes(empty_redis: RedisServer) -> None:
    """A hundred requests from four processes: ten, and a refused one counts in no bucket."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=spawn) as processes:
        counts = processes.map(admitted, [empty_redis.url] * 4, [25] * 4)
        assert sum(counts) == 10

    async def look(buckets: Buckets) -> list[int]:
        answer = await buckets.pour([FORTY, TEN], 0)
        return [b.remaining(w) for b, w in zip((FORTY, TEN), answer.water, strict=True)]

    assert run(empty_redis.url, look) == [30, 0]


POURS = st.lists(
    st.tuples(
        st.lists(
            st.builds(
                lambda name, capacity, value: Bucket(name, capacity, max(capacity // value, 1)),
                st.sampled_from("abc"),
                st.sampled_from([1000, SECOND, DAY]),
                st.sampled_from([1, 2, 3, 7, 1000]),
            ),
            min_size=1, max_size=3, unique_by=lambda bucket: bucket.key,
        ),
        st.integers(0, 1),
    ),
    max_size=20,
)  # fmt: skip


@given(pours=POURS)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_redis_and_process_decide_alike(
    empty_redis: RedisServer, pours: list[tuple[list[Bucket], int]]
) -> None:
    """Script and Python code are one arithmetic: same requests, same times, same answers."""
    now = 0
    local = LocalBuckets(lambda: now)
    empty_redis.client.flushall()

    async def compare(buckets: Buckets) -> None:
        nonlocal now
        for poured, requests in pours:
            shared = await buckets.pour(poured, requests)
            now = shared.now
            assert local.pour(poured, requests) == shared

    run(empty_redis.url, compare)
    for key in empty_redis.client.scan_iter():  # dry buckets are kept nowhere
        left = empty_redis.client.pttl(key)
        assert left != -1  # for ever
        assert left <= DAY // 1000 + 1


@pytest.mark.parametrize("kept", ["rubbish", "", "nan", "inf", "-1", "1" * 400, "9" * 18])
def test_whatever_is_in_a_key_a_request_is_answered(empty_redis: RedisServer, kept: str) -> None:
    empty_redis.client.set(TEN.key, kept)

    async def ask(buckets: Buckets) -> list[Answer]:
        return [await buckets.pour([TEN]), await buckets.pour([TEN], 0)]

    first, then = run(empty_redis.url, ask)
    assert first.admitted
    assert 0 < then.water[0] <= TEN.cost


def test_a_flush_empties_the_buckets_and_nothing_else(empty_redis: RedisServer) -> None:
    async def ask(buckets: Buckets) -> list[int]:
        full = [(await buckets.pour([TEN])).admitted for _ in range(12)]
        empty_redis.client.flushall()
        flushed = [(await buckets.pour([TEN])).admitted for _ in range(12)]
        empty_redis.client.script_flush()
        return [sum(full), sum(flushed), (await buckets.pour([TEN])).admitted]

    assert run(empty_redis.url, ask) == [10, 10, False]


class Clock:
    """Seconds, as they are set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_redis_is_killed_and_comes_back(own_redis: RedisServer) -> None:
    """The process decides; after a rest Redis does, from empty buckets, since it kept nothing."""
    clock = Clock()

    async def story(buckets: Buckets) -> None:
        assert [(await buckets.pour([TEN])).admitted for _ in range(11)] == [True] * 10 + [False]
        own_redis.kill()
        alone = await asyncio.gather(*(buckets.pour([TEN]) for _ in range(30)))
        assert sum(answer.admitted for answer in alone) == 10
        own_redis.start()
        assert not (await buckets.pour([TEN])).admitted  # still resting
        assert own_redis.client.dbsize() == 0
        clock.now += REST
        assert [(await buckets.pour([TEN])).admitted for _ in range(11)] == [True] * 10 + [False]
        assert own_redis.client.dbsize() == 1

    run(own_redis.url, story, clock=clock)


def test_redis_hangs_and_goes_on(own_redis: RedisServer) -> None:
    """One request at a time waits for it, for its patience; the others are decided at once."""
    clock = Clock()

    async def story(buckets: Buckets) -> None:
        assert (await buckets.pour([TEN])).admitted
        own_redis.hang()
        alone = await asyncio.gather(*(buckets.pour([TEN]) for _ in range(30)))
        assert sum(answer.admitted for answer in alone) == 10
        clock.now += REST
        waiting = asyncio.create_task(buckets.pour([FORTY]))
        await asyncio.sleep(0)  # it asks Redis now
        assert (await buckets.pour([FORTY])).admitted
        assert not waiting.done()
        assert (await waiting).admitted

    async def left(buckets: Buckets) -> int:
        return TEN.remaining((await buckets.pour([TEN], 0)).water[0])

    run(own_redis.url, story, clock=clock, patience=0.5)
    own_redis.go_on()
    assert run(own_redis.url, left) < 10  # it kept what it had counted


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///nonexistent"])
def test_without_any_redis(url: str) -> None:
    assert admitted(url, 50) == 10


def test_a_redis_that_refuses_is_no_redis(own_redis: RedisServer) -> None:
    """Out of memory, read-only, another type in the key: the process decides."""
    own_redis.client.config_set("maxmemory", "1")

    async def ask(buckets: Buckets) -> list[bool]:
        return [(await buckets.pour([TEN])).admitted for _ in range(11)]

    assert run(own_redis.url, ask) == [True] * 10 + [False]
    own_redis.client.config_set("maxmemory", "0")
    own_redis.client.config_set("requirepass", "secret")
    assert run(own_redis.url, ask) == [True] * 10 + [False]
