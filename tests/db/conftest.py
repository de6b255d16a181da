"""A real Postgres: one server for the session, a database for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import URL, Engine

from tests.databases import Server, server, using
from tests.db.world import World, build


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The test server."""
    with server() as made:
        yield made


@pytest.fixture
def database(postgres: Server) -> Iterator[URL]:
    """A database with the schema and nothing in it."""
    url = postgres.fresh()
    yield url
    postgres.drop(url)


@pytest.fixture
def engine(database: URL) -> Iterator[Engine]:
    """The process' engine on that database."""
    with using(database) as made:
        yield made


@pytest.fixture
def world(engine: Engine) -> World:
    """The small cloud."""
    return build(engine)
