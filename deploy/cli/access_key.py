"""``undercast user access-key``: credentials of a user for programs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from db import sealing
from db.queries import access_keys, users
from db.queries.access_keys import AccessKeyRow, NewKey, TooManyError
from deploy.cli import database
from deploy.cli.errors import NotFound, Refused
from deploy.cli.output import Columns, Format, FormatOption, show_list, show_one

app = typer.Typer(no_args_is_help=True)
_COLUMNS: Columns = {
    "id": "id",
    "status": "status",
    "valid from": "valid_from",
    "valid to": "valid_to",
    "created": "created_at",
}
UserArgument = Annotated[str, typer.Argument(help="Name of the user.")]


@app.callback()
def access_key() -> None:
    """Access keys: credentials of a user for programs."""


@app.command()
def create(
    user: UserArgument,
    days: Annotated[int, typer.Option(min=1, max=36500, help="How long it is good.")] = 3650,
    format: FormatOption = Format.table,
) -> None:
    """Make an access key. Its secret is shown now; later only its user sees it."""
    if not sealing.ready():
        raise Refused(f"{sealing.HINT}.")
    secret = access_keys.new_secret()
    until = datetime.now(UTC) + timedelta(days=days)
    key = NewKey(access_keys.new_id(), sealing.seal(secret), valid_to=until)
    with database.transaction() as conn:
        try:
            (made,) = access_keys.add(conn, _user_id(conn, user), [key])
        except TooManyError:
            raise Refused(f"{user} has {access_keys.MOST} access keys already.") from None
    show_one({**_shown(made), "secret": secret}, {"secret": "secret", **_COLUMNS}, format)


@app.command("list")
def list_keys(user: UserArgument, format: FormatOption = Format.table) -> None:
    """List the access keys of a user."""
    with database.transaction() as conn:
        rows = access_keys.list_of(conn, _user_id(conn, user))
    show_list([_shown(row) for row in rows], _COLUMNS, format)


@app.command()
def delete(
    user: UserArgument, id: Annotated[str, typer.Argument(help="Id of the access key.")]
) -> None:
    """Delete an access key, which ends the tokens that it made."""
    with database.transaction() as conn:
        if not access_keys.remove(conn, _user_id(conn, user), id):
            raise NotFound(f"{user} has no access key {id}.")


def _user_id(conn: Connection, name: str) -> str:
    found = users.find(conn, name)
    if found is None:
        raise NotFound(f"There is no user {name}.")
    return found.id


def _shown(row: AccessKeyRow) -> dict[str, Any]:
    """All but the secret."""
    return {name: value for name, value in asdict(row).items() if name != "secret"}
