"""Checks of single values, shared by the nouns."""

import re
from typing import Any

from api.faults import NotFound

MOST_ID = (1 << 63) - 1  # ids beyond 63 bits name nothing (D66)
_DIGITS = re.compile(r"[0-9]+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def as_id(text: str) -> int | None:
    """An integer id written in digits; None when ``text`` is something else (D66)."""
    if not _DIGITS.fullmatch(text) or len(text) > 19:
        return None
    value = int(text)
    return value if value <= MOST_ID else None


def as_id_or_uuid(text: str) -> int | str | None:
    """An integer id or a UUID in lower case; None when ``text`` is neither (R94, D66)."""
    return text.lower() if _UUID.fullmatch(text) else as_id(text)


def path_id(text: str) -> int:
    """Integer id of a path. Raises NotFound, not BadRequest, for other text (D66)."""
    value = as_id(text)
    if value is None:
        raise NotFound
    return value


def path_id_or_uuid(text: str) -> int | str:
    """Integer id or UUID of a path (R94). Raises NotFound for other text (D66)."""
    value = as_id_or_uuid(text)
    if value is None:
        raise NotFound
    return value


def reference(value: Any) -> int | None:
    """Id that a request refers to: number, digits, or a URI that ends in them (D1); else None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 <= value <= MOST_ID else None
    if isinstance(value, str):
        return as_id(value.strip().rstrip("/").rpartition("/")[2])
    return None
