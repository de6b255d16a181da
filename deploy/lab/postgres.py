"""A Postgres cluster of the lab's own: Debian's programs, nothing of Debian's clusters."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.lab import files, names
from deploy.lab.names import Lab
from deploy.lab.programs import LabError, attempt, run
from deploy.lab.settings_files import secret

USER = "postgres"
ROLE = "undercast"
_INITDB_TIMEOUT = 120.0

CONF = """\
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '{run}'
max_connections = 400
shared_buffers = 128MB
password_encryption = 'scram-sha-256'
log_line_prefix = '%m [%p] %u@%d '
log_timezone = 'UTC'
timezone = 'UTC'
"""
HBA = """\
# Everyone says a password, on the socket too.
local all all scram-sha-256
host all all {network} scram-sha-256
"""


def programs() -> Path:
    """Directory of the newest Postgres' programs. Raises LabError when there is none."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("[0-9]*/bin"), key=lambda path: int(path.parent.name)
    )
    if not found:
        raise LabError("Postgres is not installed; deploy/up installs it")
    return found[-1]


def data(lab: Lab) -> Path:
    """The cluster's data directory."""
    return lab.state / "postgres" / "data"


def prepare(lab: Lab) -> None:
    """Make the cluster and write its configuration."""
    parent = files.directory(lab.state / "postgres", 0o700, USER)
    password = secret(lab, "postgres")
    if not data(lab).exists():
        _make_cluster(parent, data(lab), password)
    settings = CONF.format(address=names.CONTROLLER_ADDRESS, port=names.POSTGRES_PORT, run=lab.run)
    files.write(data(lab) / "postgresql.conf", settings, mode=0o600, owner=USER)
    hba = HBA.format(network=f"{names.CONTROLLER_ADDRESS.rpartition('.')[0]}.0/24")
    files.write(data(lab) / "pg_hba.conf", hba, mode=0o600, owner=USER)


def command(lab: Lab) -> list[str]:
    """The server, in the foreground, as its own user."""
    return [*as_user(USER), str(programs() / "postgres"), "-D", str(data(lab))]


def as_user(user: str) -> list[str]:
    """Start of a command that runs as another user."""
    return ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--"]


def is_ready(lab: Lab) -> bool:
    """Whether the server takes connections."""
    ready = attempt(
        programs() / "pg_isready", "-q", "-h", lab.run, "-p", str(names.POSTGRES_PORT), timeout=5
    )
    return ready.returncode == 0


def make_database(lab: Lab) -> None:
    """Make Undercast's role and database where they are missing; the role's password is set."""
    with psycopg.connect(
        host=str(lab.run), port=names.POSTGRES_PORT, user=USER, dbname=USER,
        password=secret(lab, "postgres"), autocommit=True, connect_timeout=10,
    ) as connection:  # fmt: skip
        role, password = sql.Identifier(ROLE), sql.Literal(secret(lab, "database"))
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, password))
        there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [ROLE])
        if not there.fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))


def _make_cluster(parent: Path, final: Path, password: str) -> None:
    """Make it beside the final place, then rename: a cluster is there whole or not at all."""
    new, password_file = parent / "data.new", parent / "password"
    shutil.rmtree(new, ignore_errors=True)
    files.write(password_file, password + "\n", mode=0o600, owner=USER)
    try:
        run(
            *as_user(USER), programs() / "initdb", "-D", new, "-U", USER, "-A", "scram-sha-256",
            "--pwfile", password_file, "-E", "UTF8", "--locale", "C.UTF-8",
            timeout=_INITDB_TIMEOUT, cwd=parent,
        )  # fmt: skip
    finally:
        password_file.unlink()
    new.rename(final)
