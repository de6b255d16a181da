"""A real Postgres with the migrated schema, filled anew for every test; the application; Redis."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from api.limits.shared import Buckets
from db import engine as engines
from db.models import Base
from db.rates import DEFAULT_RATES
from db.settings import settings
from migrations import run as migrations
from tests.api import world
from tests.api.client import Api
from tests.api.world import World
from tests.postgres import fresh_database
from tests.redis_server import RedisServer, redis_server


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """One database for all these tests."""
    with fresh_database() as url:
        yield url


@pytest.fixture(scope="module")
def configured(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Settings of these tests, and nothing of this machine's; other modules see none of it."""
    store = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("UNDERCAST_"):
                patch.delenv(name)
        patch.setenv("UNDERCAST_CONFIG", os.devnull)
        patch.setenv("UNDERCAST_DATABASE_URL", database_url)
        patch.setenv("UNDERCAST_ZONE", world.ZONE_1)
        patch.setenv("UNDERCAST_PUBLIC_URL", world.BASE)
        patch.setenv("UNDERCAST_INTERNAL_ADDRESS", "192.168.50.10")
        patch.setenv("UNDERCAST_INTERNAL_PORT", "8780")
        patch.setenv("UNDERCAST_INTERNAL_SECRET", "a secret of hosts")
        patch.setenv("UNDERCAST_SECRET_KEY", "a secret of access keys, long enough")
        patch.setenv("UNDERCAST_IMAGE_STORE", str(store))
        patch.setenv("UNDERCAST_RATES", "[]")  # none, except where a test takes ``rates``
        _forget()
        yield
        _forget()


def _forget() -> None:
    for cached in (settings, engines.engine, engines.async_engine):
        cached.cache_clear()


@pytest.fixture(scope="module")
def database(configured: None) -> Iterator[Engine]:
    """The migrated database."""
    engine = engines.engine()  # held: other tests make the process forget its engines
    with engine.begin() as conn:
        migrations.upgrade("head", conn)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def runner(database: Engine) -> Iterator[asyncio.Runner]:
    """One event loop for all tests, so that the application keeps its pool."""
    with asyncio.Runner() as made:
        engine = engines.async_engine()
        yield made
        made.run(engine.dispose())


@pytest.fixture(scope="module")
def module_api(runner: asyncio.Runner) -> Api:
    from api.app import create_app

    return Api(runner, create_app())


@pytest.fixture
def records(database: Engine) -> World:
    """The records that a test starts from."""
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with database.begin() as conn:
        conn.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
        return world.make(conn)


@pytest.fixture
def api(module_api: Api, records: World, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The application; what it would tell workers is noted instead of sent."""
    module_api.nudged.clear()

    class Noted:
        def put(self, target: str, operation_id: int | None) -> None:
            module_api.nudged.append((target, operation_id))

    monkeypatch.setattr("scheduler.nudge._nudger", Noted)
    return module_api


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """One Redis for all these tests; those that end or stop it take one of their own."""
    with redis_server() as made:
        yield made


@pytest.fixture
def rates(
    redis: RedisServer, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The default rates are in force, on an empty Redis that is waited for."""
    redis.client.flushall()
    made = Buckets(redis.url, patience=30)
    monkeypatch.setattr(settings(), "rates", DEFAULT_RATES)
    monkeypatch.setattr("api.limits.rates.buckets", lambda: made)
    yield
    runner.run(made.close())


@pytest.fixture
def image_store(configured: None) -> Path:
    """Directory of image bytes."""
    return Path(settings().image_store)
