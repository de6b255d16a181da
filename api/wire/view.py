"""How a resource becomes a body.

A noun's ``views.py`` describes each resource once, as a small immutable :class:`View` that says how
the resource looks in JSON and in XML. :mod:`api.wire.render` asks it for one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from api.wire.xml import Element, Writer, compute


class View(Protocol):
    """A resource that can be shown."""

    def json(self) -> Any:
        """Value in JSON."""
        ...

    def xml(self, tag: str) -> Element:
        """Element in XML; where it stands decides its name."""
        ...


class Document(Protocol):
    """A whole body."""

    def json(self) -> Any:
        """Body in JSON."""
        ...

    def xml(self) -> Element:
        """Root element in XML."""
        ...


@dataclass(frozen=True, slots=True)
class One:
    """A body of one resource, below its root member; ``tag`` names it in XML if that differs."""

    root: str
    item: View
    tag: str | None = None

    def json(self) -> Any:
        """Root member holding the resource."""
        return {self.root: self.item.json()}

    def xml(self) -> Element:
        """The resource as the root element."""
        return self.item.xml(self.tag or self.root)


@dataclass(frozen=True, slots=True)
class Many:
    """A body of a list of resources, below its root member; ``tag`` names each in XML."""

    root: str
    tag: str
    items: Sequence[View]
    writer: Writer = compute

    def json(self) -> Any:
        """Root member holding the list."""
        return {self.root: [item.json() for item in self.items]}

    def xml(self) -> Element:
        """Root element holding the resources' elements."""
        return self.writer(self.root, None, *[item.xml(self.tag) for item in self.items])


def timestamp(at: datetime) -> str:
    """A time as in R32: UTC, seconds, Z (D63)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
