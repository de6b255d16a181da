"""A real Postgres for tests: a throw-away cluster of Debian's, or a database of a given server.

``UNDERCAST_TEST_DATABASE_URL`` names a server where the tests may create databases; without it a
cluster is made in a temporary directory, reached by a unix socket, and gone with the test process.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

VARIABLE = "UNDERCAST_TEST_DATABASE_URL"
SECONDS_TO_START = 30.0
FAST = (
    "fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB",
    "listen_addresses=", "max_connections=250", "log_min_messages=fatal",
)  # fmt: skip


@contextmanager
def fresh_database() -> Iterator[str]:
    """URL of an empty database, dropped at the end."""
    given = os.environ.get(VARIABLE)
    if given:
        with _database_of(given) as url:
            yield url
    else:
        with _cluster() as server, _database_of(server) as url:
            yield url


@contextmanager
def _database_of(server: str) -> Iterator[str]:
    name = f"undercast_test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def _cluster() -> Iterator[str]:
    programs = max(Path("/usr/lib/postgresql").iterdir()) / "bin"
    home = Path(tempfile.mkdtemp(prefix="undercast-postgres-"))
    as_postgres: list[str] = []
    if os.geteuid() == 0:  # Postgres refuses to run as root
        shutil.chown(home, "postgres", "postgres")
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = home / "data"
    subprocess.run(
        [*as_postgres, programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust",
         "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
        check=True, capture_output=True, timeout=60, cwd=home,
    )  # fmt: skip
    settings = [word for setting in FAST for word in ("-c", setting)]
    server = subprocess.Popen(
        ["setpriv", *(as_postgres[1:]), "--pdeathsig=QUIT", programs / "postgres", "-D", data,
         "-k", home, *settings],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=home,
    )  # fmt: skip
    url = f"postgresql://postgres@/postgres?host={home}"
    try:
        _wait_for(url, server)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(5)
        shutil.rmtree(home, ignore_errors=True)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
