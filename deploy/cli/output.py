"""How commands print: tables for people, JSON with stable keys for scripts."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text


class Format(StrEnum):
    """What a command prints."""

    table = "table"
    json = "json"


FormatOption = Annotated[
    Format, typer.Option("--format", "-f", help="A table to read, or JSON for scripts.")
]
ExistingOption = Annotated[
    bool, typer.Option("--if-missing", help="Succeed, changing nothing, when it is there already.")
]
Cell = str | Callable[[Any], object]
Columns = dict[str, Cell]
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
PIPE_WIDTH = 240  # columns where no terminal says how many


def show_list(rows: Sequence[Any], columns: Columns, format: Format) -> None:
    """Print records: as JSON with all their fields, as a table with these columns.

    A column is a field's name or a function of the record.
    """
    if format is Format.json:
        _print_json([plain(row) for row in rows])
    else:
        cells = ([_cell(row, cell) for cell in columns.values()] for row in rows)
        _print_table(list(columns), cells)


def show_one(record: Any, fields: Columns, format: Format) -> None:
    """Print one record: as JSON with all its fields, as a table of these fields."""
    if format is Format.json:
        _print_json(plain(record))
    else:
        _print_table(None, ([name, _cell(record, cell)] for name, cell in fields.items()))


def say(text: str, format: Format = Format.table) -> None:
    """A sentence for people; nothing where JSON is wanted."""
    if format is Format.table:
        print(harmless(text))


def plain(value: Any) -> Any:
    """Records as plain values; times as YYYY-MM-DDThh:mm:ss.ffffffZ."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value


def words(value: object) -> str:
    """A value as a person reads it."""
    if value is None or value in ("", [], ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return " ".join(words(item) for item in value)
    return harmless(str(value))


def harmless(text: str) -> str:
    """Text, maybe a client's, without anything that a terminal would obey; newlines stay."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def size(count: int) -> str:
    """Bytes as a person reads them."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} GiB"


def duration(seconds: float | None) -> str:
    """A time span as a person reads it."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return str(timedelta(seconds=round(seconds)))


def _cell(record: Any, cell: Cell) -> str:
    if callable(cell):
        return words(cell(record))
    return words(record[cell] if isinstance(record, Mapping) else getattr(record, cell))


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _print_table(header: Sequence[str] | None, rows: Iterable[Sequence[str]]) -> None:
    table = Table(box=SIMPLE_HEAD, show_header=header is not None, pad_edge=False, show_edge=False)
    for place, name in enumerate(header or ("", "")):
        table.add_column(name, overflow="fold", style="bold" if place == 0 and not header else None)
    for row in rows:
        table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    console = Console(width=width, highlight=False, markup=False)
    console.print(table if table.row_count else "none")


def _style(cell: str) -> str:
    """Colour of the words that an operator looks for."""
    if cell.startswith(("ERROR", "failed", "silent", "error")):
        return "red"
    if cell.startswith(("BUILD", "disabled", "live", "warning")):
        return "yellow"
    if cell in ("ACTIVE", "alive", "done"):
        return "green"
    return ""
