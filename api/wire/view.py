"""How a resource becomes a body.

A noun's ``views.py`` describes each resource once, as a small immutable :class:`View`. The writer
of a format asks it for its form in that format.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol


class View(Protocol):
    """A resource that can be shown."""

    def json(self) -> Any:
        """Value in JSON."""
        ...


@dataclass(frozen=True, slots=True)
class One:
    """A body of one resource, below its root member."""

    root: str
    item: View

    def json(self) -> Any:
        """Root member holding the resource."""
        return {self.root: self.item.json()}


@dataclass(frozen=True, slots=True)
class Many:
    """A body of a list of resources, below its root member."""

    root: str
    items: Sequence[View]

    def json(self) -> Any:
        """Root member holding the list."""
        return {self.root: [item.json() for item in self.items]}


@dataclass(frozen=True, slots=True)
class Plain:
    """A body that is the same map whatever is asked, in JSON."""

    value: Any

    def json(self) -> Any:
        """The map."""
        return self.value


def timestamp(at: datetime) -> str:
    """A time as in R32: UTC, seconds, Z (D63)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
