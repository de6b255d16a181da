"""A real Postgres: one cluster for the session, a database for each module or test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import URL, Engine

from tests.postgres import Cluster, cluster, using


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """The throw-away cluster."""
    with cluster() as made:
        yield made


@pytest.fixture
def database(postgres: Cluster) -> Iterator[URL]:
    """A database with the schema and nothing in it."""
    url = postgres.fresh()
    yield url
    postgres.drop(url)


@pytest.fixture
def engine(database: URL) -> Iterator[Engine]:
    """The process' engine on that database."""
    with using(database) as made:
        yield made
