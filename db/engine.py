"""Connections to Postgres. Made on first use, so after a fork, never before."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url

from db.settings import settings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

OPTIONS: dict[str, Any] = {
    "native_inet_types": False,  # addresses are text
    "isolation_level": "READ COMMITTED",
    "connect_args": {
        "connect_timeout": 5,
        # Bounds on every statement: nothing waits for ever on a lock or on a dead server.
        "options": "-c lock_timeout=10s -c statement_timeout=30s -c timezone=UTC"
        " -c idle_in_transaction_session_timeout=60s",
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    },
}


def database_url() -> URL:
    """The settings' URL with the driver that Undercast uses."""
    return make_url(settings().database_url.get_secret_value()).set(drivername="postgresql+psycopg")


@lru_cache(maxsize=1)
def engine() -> Engine:
    """Pool of this process for threads (scheduler, agent, command)."""
    return create_engine(database_url(), pool_size=8, max_overflow=8, pool_pre_ping=True, **OPTIONS)


@lru_cache(maxsize=1)
def async_engine() -> AsyncEngine:
    """Pool of this process for the API's event loop."""
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - the API's alone

    return create_async_engine(
        database_url(), pool_size=10, max_overflow=10, pool_timeout=10, **OPTIONS
    )
