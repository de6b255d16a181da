"""What can go wrong with a command: one sentence on stderr, and an exit code that scripts use."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer


class CommandError(Exception):
    """Root of the family; its text is the sentence."""

    exit_code = 1


class Refused(CommandError):  # noqa: N818
    """It cannot be, or it failed."""


class NotFound(CommandError):  # noqa: N818
    """What was named is not there."""

    exit_code = 3


class DatabaseAway(CommandError):  # noqa: N818
    """Postgres does not answer."""

    exit_code = 4


@contextmanager
def reported() -> Iterator[None]:
    """Errors of commands and of what lies below them leave as a sentence and an exit code."""
    try:
        yield
    except CommandError as error:
        _leave(error)
    except Exception as error:
        _leave(_translated(error))


def _leave(error: CommandError) -> None:
    sentence = " ".join(str(error).split())
    print(f"undercast: {sentence}", file=sys.stderr)
    raise typer.Exit(error.exit_code) from error


def _translated(error: Exception) -> CommandError:
    """Errors of settings, files and Postgres in the operator's words; raises all others again."""
    module = type(error).__module__
    if module.startswith("sqlalchemy."):
        return _of_database(error)
    if module.startswith("pydantic"):
        return Refused(f"The settings are wrong: {_of_settings(error)}")
    if module == "db.image_store.errors":
        return Refused(f"{error} Settings: image_store, image_store_options.")
    if isinstance(error, OSError):
        return Refused(str(error))
    raise error


def _of_settings(error: Exception) -> str:
    from pydantic import ValidationError  # noqa: PLC0415

    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())


def _of_database(error: Exception) -> CommandError:
    from sqlalchemy.exc import ArgumentError, DBAPIError  # noqa: PLC0415

    if isinstance(error, ArgumentError):
        return Refused("The setting database_url is no URL of a database.")
    if not isinstance(error, DBAPIError) or error.orig is None:
        raise error
    state = getattr(error.orig, "sqlstate", None)
    first_line = (str(error.orig).strip().splitlines() or [""])[0]
    if state is None or state.startswith(("08", "57P", "53")):
        return DatabaseAway(f"The database does not answer: {first_line}")
    if state == "42P01":
        return Refused("The database has no tables yet, or old ones: run `undercast db upgrade`.")
    if state == "55P03":
        return Refused("Something else holds a lock that this needs; try again in a moment.")
    if state.startswith(("22", "23")):
        return Refused(f"The database refuses that: {first_line}")
    raise error
