"""Upgrade, downgrade and compare, from anywhere, without an alembic.ini."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from db.models import Base


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration; ``connection`` replaces the settings' database."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    if connection is not None:
        made.attributes["connection"] = connection
    return made


def upgrade(revision: str = "head", connection: Connection | None = None) -> None:
    """Bring the schema to a revision."""
    command.upgrade(config(connection), revision)


def downgrade(revision: str, connection: Connection | None = None) -> None:
    """Take the schema back to a revision; ``base`` is empty."""
    command.downgrade(config(connection), revision)


def version(connection: Connection) -> str | None:
    """Revision of the schema; None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def differences(connection: Connection) -> list[Any]:
    """What autogenerate would change to make the schema equal to the models."""
    options = {"compare_type": True, "compare_server_default": True}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, Base.metadata))
