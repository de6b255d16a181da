"""What networks and pools share: options for ranges, and how their addresses are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Annotated, Any

import typer

from db.queries.address_ranges import Holder, Range, StillHeld
from deploy.cli.errors import Refused
from deploy.cli.output import Columns, Format, harmless, plain, say, show_one
from deploy.cli.ranges import RangeError

RangesOption = Annotated[
    list[str],
    typer.Option(
        "--range",
        help="A-B, one address, or a network, of which the first and the last address are left"
        " out. May be repeated.",
    ),
]
CoveredOption = Annotated[
    list[str],
    typer.Option("--range", help="A-B, one address, or a whole network. May be repeated."),
]
_SHOWN = 3  # ranges in a line of a list


def listed(columns: Columns, states: Columns) -> Columns:
    """Columns of a list: of ``states`` among the counts, few of many ranges."""
    return {**columns, "count": "addresses", "free": "free", "resting": "resting", **states,
            "used": "used", "ranges": lambda row: _few(row.ranges)}  # fmt: skip


def detailed(columns: Columns, states: Columns) -> Columns:
    """Fields of one record: all ranges, and when those that rest are free."""
    return {
        **listed(columns, states),
        "resting": _resting,
        "ranges": lambda row: ", ".join(row.ranges),
    }


def parsed(texts: list[str], parse: Callable[[str], Range]) -> list[Range]:
    """Ranges of a command line."""
    try:
        return [parse(text) for text in texts]
    except RangeError as error:
        raise typer.BadParameter(str(error), param_hint="--range") from error


@contextmanager
def unheld(what: str) -> Iterator[None]:
    """Addresses that somebody holds stay: a refusal that names the holders."""
    try:
        yield
    except StillHeld as error:
        are = "address is" if error.held == 1 else "addresses are"
        names = harmless("; ".join(map(_holder, error.holders)))
        more = error.held - len(error.holders)
        others = f"; and {more} more" if more else ""
        raise Refused(
            f"{error.held} {are} held in {what}: {names}{others}. Nothing was changed."
        ) from error


def show_added(record: Any, columns: Columns, counts: tuple[int, int], format: Format) -> None:
    """How many of how many addresses are new, and the record."""
    added, asked = counts
    rest = asked - added
    others = f"; {rest} were there before or are the gateway's" if rest else ""
    say(f"{added} of {asked} addresses added{others}.", format)
    _show_changed(record, columns, {"added": added}, format)


def show_removed(record: Any, columns: Columns, removed: int, format: Format) -> None:
    """How many addresses are gone, and the record."""
    say(f"{removed} addresses removed.", format)
    _show_changed(record, columns, {"removed": removed}, format)


def _show_changed(record: Any, columns: Columns, more: dict[str, int], format: Format) -> None:
    show_one({**plain(record), **more} if format is Format.json else record, columns, format)


def _few(ranges: list[str]) -> str:
    more = f" and {len(ranges) - _SHOWN} more" if len(ranges) > _SHOWN else ""
    return ", ".join(ranges[:_SHOWN]) + more


def _resting(row: Any) -> str:
    if row.rested_at is None:
        return "0"
    at = row.rested_at.astimezone(UTC).strftime("%H:%M:%S")
    return f"{row.resting} (released lately; the first is free at {at})"


def _holder(one: Holder) -> str:
    server = "" if one.server_id is None else f"server {one.server_id} {one.server}"
    if one.deleted:
        server += ", deleted, whose host has not confirmed it"
    if not one.floating:
        return f"{one.address} by {server} of tenant {one.tenant}"
    return f"{one.address} by tenant {one.tenant}" + (f" on {server}" if server else "")
