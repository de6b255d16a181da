"""``undercast db``: the schema's revisions."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from alembic.util import CommandError as AlembicError

from db.queries import zones
from db.settings import settings
from deploy.cli.database import transaction
from deploy.cli.errors import NotFound, Refused
from deploy.cli.output import Columns, Format, FormatOption, show_one
from migrations import run

app = typer.Typer(no_args_is_help=True)
_HEAD = "head"


@app.callback()
def db() -> None:
    """The schema: upgrade, downgrade, version."""


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(help="Revision to come to.")] = _HEAD,
    format: FormatOption = Format.table,
) -> None:
    """Bring the schema to the newest revision, or to REVISION.

    A database that has no zone yet gets the settings' zone, so that a newcomer needs nothing else.
    """
    with _revisions(revision):
        run.upgrade(revision)
    made = None
    if revision == _HEAD:
        with transaction() as conn:
            name = settings().zone
            if not zones.list_all(conn) and zones.create(conn, name):
                made = name
    _show(format, zone_made=made)


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help='Revision to go back to; "base": no tables.')],
    format: FormatOption = Format.table,
) -> None:
    """Take the schema back to REVISION. What only newer revisions can hold is lost."""
    with _revisions(revision):
        run.downgrade(revision)
    _show(format)


@app.command()
def version(format: FormatOption = Format.table) -> None:
    """Show the schema's revision."""
    _show(format)


def _show(format: Format, **more: str | None) -> None:
    with transaction() as conn:
        record = {"revision": run.version(conn), **more}
    fields: Columns = {"revision": lambda row: row["revision"] or "none"}
    if more.get("zone_made"):
        fields["zone made"] = lambda row: row["zone_made"]
    show_one(record, fields, format)


class _revisions:  # noqa: N801 - reads as a statement
    """Alembic's complaints about revisions, in our words."""

    def __init__(self, revision: str) -> None:
        self._revision = revision

    def __enter__(self) -> None:
        if not re.fullmatch(r"[\w.@+:-]+", self._revision):
            raise NotFound(f"There is no revision {self._revision!r}.")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, AlembicError):
            if "locate" in str(error):
                raise NotFound(f"There is no revision {self._revision}.") from error
            raise Refused(str(error)) from error
