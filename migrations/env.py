"""Run revisions over a connection that the caller gives, or over the settings' database."""

from alembic import context
from sqlalchemy import Connection, text

from db.engine import engine
from db.models import Base

LOCK_TIMEOUT = "5s"  # a migration that waits for a lock makes everybody else wait behind it


def run(connection: Connection) -> None:
    """Run what was asked for in one transaction."""
    context.configure(
        connection=connection, target_metadata=Base.metadata, compare_server_default=True
    )
    with context.begin_transaction():
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with engine().connect() as own:
        run(own)
