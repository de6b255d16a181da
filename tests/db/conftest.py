"""A real Postgres: one server for the session, one database, empty for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import URL, Engine

from tests.databases import Server, emptied, server, using
from tests.db.world import World, build


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The test server."""
    with server() as made:
        yield made


@pytest.fixture(scope="session")
def database(postgres: Server) -> URL:
    """A database with the schema."""
    return postgres.fresh()


@pytest.fixture
def engine(database: URL) -> Iterator[Engine]:
    """The process' engine on that database, with nothing in it."""
    with using(database) as made:
        emptied(made)
        yield made


@pytest.fixture
def world(engine: Engine) -> World:
    """The small cloud."""
    return build(engine)
