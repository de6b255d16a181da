"""``undercast user``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from sqlalchemy import Connection

from db.passwords import hash_password
from db.queries import users
from db.queries.users import UserSummary
from deploy.cli import access_key, database
from deploy.cli.checks import name_argument
from deploy.cli.errors import NotFound, Refused
from deploy.cli.output import Columns, ExistingOption, Format, FormatOption, show_list, show_one

app = typer.Typer(no_args_is_help=True)
app.add_typer(access_key.app, name="access-key")
_COLUMNS: Columns = {
    "id": "id",
    "name": "name",
    "enabled": "enabled",
    "tenants": lambda user: ", ".join(f"{role['tenant']} ({role['role']})" for role in user.roles),
    "created": "created_at",
}
NameArgument = Annotated[str, typer.Argument(help="Name of the user.")]
TenantOption = Annotated[str | None, typer.Option("--tenant", help="Name or id of a tenant.")]
RoleOption = Annotated[str, typer.Option("--role", help="What the user is in the tenant.")]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
]


@app.callback()
def user() -> None:
    """Users and their membership of tenants."""


@app.command()
def create(
    name: Annotated[str, name_argument("Name to log in with.")],
    tenant: TenantOption = None,
    role: RoleOption = "member",
    password_stdin: StdinOption = False,
    if_missing: ExistingOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Make a user, as a member of a tenant or of none. Asks for the password twice."""
    with database.transaction() as conn:
        found = users.find(conn, name)
        if found is not None and not if_missing:
            raise Refused(f"There is a user {name} already.")
        if tenant is not None:
            database.tenant(conn, tenant)
    password_hash = None if found is not None else _hash(_password(from_stdin=password_stdin))
    with database.transaction() as conn:
        if password_hash is not None and not users.create(conn, name, password_hash):
            raise Refused(f"There is a user {name} already.")
        record = _joined(conn, name, tenant, role)
    show_one(record, _COLUMNS, format)


@app.command()
def join(
    name: NameArgument,
    tenant: Annotated[str, typer.Option("--tenant", help="Name or id of a tenant.")],
    role: RoleOption = "member",
    format: FormatOption = Format.table,
) -> None:
    """Make a user a member of one more tenant."""
    with database.transaction() as conn:
        record = _joined(conn, name, tenant, role)
    show_one(record, _COLUMNS, format)


@app.command()
def leave(
    name: NameArgument,
    tenant: Annotated[str, typer.Option("--tenant", help="Name or id of a tenant.")],
    format: FormatOption = Format.table,
) -> None:
    """End a user's membership of a tenant, in all roles. Tokens are good for it no longer."""
    with database.transaction() as conn:
        found, left = _found(conn, name), database.tenant(conn, tenant)
        if not users.leave(conn, found.id, left.id):
            raise NotFound(f"{name} is no member of the tenant {left.name}.")
        record = _found(conn, name)
    show_one(record, _COLUMNS, format)


@app.command()
def password(
    name: NameArgument, password_stdin: StdinOption = False, format: FormatOption = Format.table
) -> None:
    """Give a user another password. Ends all tokens of the user; access keys stay."""
    with database.transaction() as conn:
        _found(conn, name)
    password_hash = _hash(_password(from_stdin=password_stdin))
    with database.transaction() as conn:
        users.set_password(conn, name, password_hash)
        record = _found(conn, name)
    show_one(record, _COLUMNS, format)


@app.command()
def disable(name: NameArgument, format: FormatOption = Format.table) -> None:
    """Let a user in no longer, and end all tokens of the user at once. Servers go on."""
    _set_enabled(name, enabled=False, format=format)


@app.command()
def enable(name: NameArgument, format: FormatOption = Format.table) -> None:
    """Let a user in again, by password or access key."""
    _set_enabled(name, enabled=True, format=format)


@app.command("list")
def list_users(format: FormatOption = Format.table) -> None:
    """List the users and their tenants."""
    with database.transaction() as conn:
        rows = users.list_all(conn)
    show_list(rows, _COLUMNS, format)


def _set_enabled(name: str, *, enabled: bool, format: Format) -> None:
    with database.transaction() as conn:
        users.set_enabled(conn, name, enabled=enabled)
        record = _found(conn, name)
    show_one(record, _COLUMNS, format)


def _found(conn: Connection, name: str) -> UserSummary:
    found = users.find(conn, name)
    if found is None:
        raise NotFound(f"There is no user {name}.")
    return found


def _joined(conn: Connection, name: str, tenant: str | None, role: str) -> UserSummary:
    found = _found(conn, name)
    if tenant is None:
        return found
    users.join(conn, found.id, database.tenant(conn, tenant).id, role)
    return _found(conn, name)


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def _hash(password: str) -> str:
    try:
        return hash_password(password)
    except ValueError as error:
        raise Refused(str(error)) from error
