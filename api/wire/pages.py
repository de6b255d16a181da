"""Pages of lists (R40-R49)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request

from api.faults import BadRequest

MOST = 1000
_INTEGER = re.compile(r"[+-]?[0-9]+")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """At most ``limit`` items, after the one that ``marker`` names."""

    limit: int = MOST
    marker: str | None = None

    @property
    def lost(self) -> BadRequest:
        """The fault of a marker that is not in the list (R42, D11)."""
        return BadRequest(f"marker [{self.marker}] not found")

    def of(self, items: Sequence[T], name: Callable[[T], object]) -> Sequence[T]:
        """The page of a short list that is all in memory. Raises BadRequest for a lost marker."""
        start = 0
        if self.marker is not None:
            names = [str(name(item)) for item in items]
            if self.marker not in names:
                raise self.lost
            start = names.index(self.marker) + 1
        return items[start : start + self.limit]


def page_of(request: Request, usual: int = MOST) -> Page:
    """Page that the query asks for; ``usual``: its limit when none is asked.

    Raises BadRequest for a bad limit (D10).
    """
    return Page(_limit(request.query_params.get("limit", ""), usual), _marker(request))


def _marker(request: Request) -> str | None:
    return request.query_params.get("marker", "").strip() or None


def _limit(text: str, usual: int) -> int:
    text = text.strip()
    if not text:
        return usual
    if not _INTEGER.fullmatch(text):
        raise BadRequest("limit param must be an integer")
    if text.startswith("-") and text.strip("-0"):
        raise BadRequest("limit param must be positive")
    digits = text.lstrip("+-0")
    if not digits:
        return usual
    return min(int(digits), MOST) if len(digits) < 10 else MOST
