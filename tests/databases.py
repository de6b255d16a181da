"""Databases for tests, as many as they want, with the migrations' schema, on one test server."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from db import engine as db_engine
from db.models import Base
from db.settings import settings
from migrations import run
from tests.postgres import fresh_database


class Server:
    """A server on which databases come and go. The migrations run once; databases are copies."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self._name = f"undercast_test_{secrets.token_hex(6)}"
        self._numbers = itertools.count(1)
        self._template_made = False

    def fresh(self, *, empty: bool = False) -> URL:
        """A new database with Undercast's schema, or with nothing in it."""
        template = "template0" if empty else f"{self._name}_template"
        if not empty and not self._template_made:
            self._do(f"CREATE DATABASE {template}")
            with using(self.url.set(database=template)):
                run.upgrade()
            self._template_made = True
        name = f"{self._name}_{next(self._numbers)}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url.set(database=name)

    def drop(self, url: URL) -> None:
        """Remove a database and end its connections."""
        self._do(f"DROP DATABASE IF EXISTS {url.database} WITH (FORCE)")

    def drop_template(self) -> None:
        """Leave a server that is not ours as it was."""
        self._do(f"DROP DATABASE IF EXISTS {self._name}_template WITH (FORCE)")

    def _do(self, statement: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as conn:
            conn.execute(text(statement))
        engine.dispose()


@contextmanager
def server() -> Iterator[Server]:
    """The test server (see tests/postgres.py)."""
    with fresh_database() as url:
        made = Server(make_url(url).set(drivername="postgresql+psycopg"))
        try:
            yield made
        finally:
            made.drop_template()


@contextmanager
def using(url: URL, **more: object) -> Iterator[Engine]:
    """Settings of this process name the database, and ``more`` settings; its pool is closed after.

    The engine is the process' own, as code under test gets it.
    """
    values = {
        "UNDERCAST_CONFIG": "/nonexistent/undercast.toml",
        "UNDERCAST_DATABASE_URL": url.set(drivername="postgresql").render_as_string(
            hide_password=False
        ),
        **{f"UNDERCAST_{name.upper()}": str(value) for name, value in more.items()},
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    _forget()
    try:
        made = db_engine.engine()
        try:
            yield made
        finally:
            made.dispose()
            db_engine.engine().dispose()  # another one, when uses were nested
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        _forget()


def _forget() -> None:
    settings.cache_clear()
    db_engine.engine.cache_clear()
    db_engine.async_engine.cache_clear()


def emptied(engine: Engine) -> None:
    """All tables are empty and ids start at 1 again: quicker than another database."""
    tables = ", ".join(Base.metadata.tables)
    with engine.begin() as conn:
        conn.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
