"""Names as operators may give them: they appear in URLs, host files and tables."""

from __future__ import annotations

import re
from typing import Any

import typer

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.@:+-]{0,253}(?<! )")


def name_checked(text: str) -> str:
    """Letters, digits and some marks, at most 254. Raises typer.BadParameter."""
    if not _NAME.fullmatch(text):
        raise typer.BadParameter(
            "starts with a letter or digit; letters, digits, blanks and . _ - @ : + follow"
        )
    return text


def name_argument(help: str) -> Any:
    """A positional argument that is a name."""
    return typer.Argument(help=help, callback=name_checked)
