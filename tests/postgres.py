"""A throw-away Postgres for tests: a cluster in a temporary directory, a fresh database per use.

``UNDERCAST_TEST_DATABASE_URL`` names a server to use instead; its user must be allowed to create
databases. The schema is the migrations', made once and copied for each database.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from db import engine as db_engine
from db.settings import settings
from migrations import run

OVERRIDE = "UNDERCAST_TEST_DATABASE_URL"
STARTS = 30.0  # seconds that a cluster may take
TEMPLATE = f"undercast_template_{os.getpid()}"
FAST = {
    "listen_addresses": "", "fsync": "off", "synchronous_commit": "off",
    "full_page_writes": "off", "max_connections": "200", "shared_buffers": "32MB",
    "autovacuum": "off", "max_wal_senders": "0", "wal_level": "minimal",
}  # fmt: skip


class Cluster:
    """A server on which databases come and go."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self._numbers = itertools.count(1)
        self._template_made = False

    def fresh(self, *, empty: bool = False) -> URL:
        """A new database with Undercast's schema, or with nothing in it."""
        if not empty and not self._template_made:
            self._template_made = True
            self._do(f"CREATE DATABASE {TEMPLATE}")
            with using(self.url.set(database=TEMPLATE)):
                run.upgrade()
        name = f"undercast_{os.getpid()}_{next(self._numbers)}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else TEMPLATE}")
        return self.url.set(database=name)

    def drop(self, url: URL) -> None:
        """Remove a database and end its connections."""
        self._do(f"DROP DATABASE IF EXISTS {url.database} WITH (FORCE)")

    def drop_template(self) -> None:
        """Leave a server that is not ours as it was."""
        self._do(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as conn:
            conn.execute(text(statement))
        engine.dispose()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster of our own, or the one that the environment names."""
    if given := os.environ.get(OVERRIDE):
        made = Cluster(make_url(given).set(drivername="postgresql+psycopg"))
        try:
            yield made
        finally:
            made.drop_template()
        return
    directory = Path(tempfile.mkdtemp(prefix="undercast-postgres-"))
    try:
        with _started(directory) as url:
            yield Cluster(url)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    if not found:
        raise FileNotFoundError("Debian's package postgresql is not installed")
    return found[-1]


def _as_postgres(directory: Path) -> list[str]:
    """Words before a program that drop root, which Postgres refuses, and tie it to our life."""
    if os.getuid() != 0:
        return ["setpriv", "--pdeathsig", "INT"]
    user = pwd.getpwnam("postgres")
    os.chown(directory, user.pw_uid, user.pw_gid)
    return [
        "setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
        "--pdeathsig", "INT",
    ]  # fmt: skip


@contextmanager
def _started(directory: Path) -> Iterator[URL]:
    prefix, data = _as_postgres(directory), directory / "data"
    subprocess.run(
        [*prefix, _programs() / "initdb", "-D", data, "-U", "undercast", "--auth=trust",
         "--no-sync", "--encoding=UTF8", "--locale=C"],
        check=True, capture_output=True, timeout=60, cwd=directory,
    )  # fmt: skip
    options = [word for name, value in FAST.items() for word in ("-c", f"{name}={value}")]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [*prefix, _programs() / "postgres", "-D", data, "-k", directory, *options],
            stdout=log, stderr=log, cwd=directory,
        )  # fmt: skip
    try:
        url = URL.create(
            "postgresql+psycopg", "undercast", database="postgres", query={"host": str(directory)}
        )
        _wait(url, server, directory / "log")
        yield url
    finally:
        server.send_signal(2)  # a fast shutdown
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(url: URL, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + STARTS
    engine = create_engine(url, poolclass=NullPool)
    while True:
        try:
            engine.connect().close()
        except OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Postgres does not start:\n{log.read_text()}") from None
            time.sleep(0.05)
        else:
            return


@contextmanager
def using(url: URL, **more: str) -> Iterator[Engine]:
    """Settings of this process name the database, and ``more`` settings; its pool is closed after.

    The engine is the process' own, as code under test gets it.
    """
    values = {
        "UNDERCAST_CONFIG": "/nonexistent/undercast.toml",
        "UNDERCAST_DATABASE_URL": url.set(drivername="postgresql").render_as_string(False),
        **{f"UNDERCAST_{name.upper()}": value for name, value in more.items()},
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    _forget()
    try:
        yield db_engine.engine()
    finally:
        db_engine.engine().dispose()
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
