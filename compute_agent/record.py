"""The record of an operation's server, as it is at this moment."""

from __future__ import annotations

from sqlalchemy import Engine

from db.operations.errors import Fatal
from db.operations.queue import Lease
from db.queries import progress
from db.wanted import WantedServer


def wanted(engine: Engine, lease: Lease) -> WantedServer:
    """What the host must make true of the server. Raises Fatal when it has no address."""
    with engine.begin() as conn:
        server = progress.wanted(conn, lease.subject_id)
    if server is None:
        raise Fatal(f"Server {lease.subject_id} has no address")
    return server
