"""Questions to Postgres from the event loop.

Queries are the functions of ``db.queries``. A read is one statement on an autocommit connection; a
change runs in one transaction, committed when :func:`write` returns.
"""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from db.engine import async_engine

P = ParamSpec("P")
T = TypeVar("T")


async def read(
    question: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Answer of a query that changes nothing.

    Asked once more when the pool held a connection that had died, as after a restart of Postgres.
    Raises sqlalchemy.exc.DBAPIError when Postgres is away.
    """
    engine = async_engine().execution_options(isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as conn:
            return await conn.run_sync(question, *args, **kwargs)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    async with engine.connect() as conn:
        return await conn.run_sync(question, *args, **kwargs)


async def write(
    change: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Result of a change, committed. Raises what ``change`` raises, after a rollback."""
    async with async_engine().begin() as conn:
        return await conn.run_sync(change, *args, **kwargs)
