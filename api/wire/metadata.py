"""Metadata of servers and images as bodies (R173-R180): the same form for both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.wire.shapes import Body, Items, Pair
from api.wire.xml import Element, compute

METADATA = Body("metadata", Items())
META = Body("meta", Pair())


def metadata_element(tag: str, items: Mapping[str, Any]) -> Element:
    """Items as ``<meta key="k">value</meta>``; null is ``None`` (D30)."""
    return compute(tag, None, *[compute.leaf("meta", v, {"key": k}) for k, v in items.items()])


@dataclass(frozen=True, slots=True)
class MetadataView:
    """All items of a server or image (R173)."""

    items: Mapping[str, Any]

    def json(self) -> Mapping[str, Any]:
        """The map."""
        return self.items

    def xml(self, tag: str) -> Element:
        """An element with a child for each item."""
        return metadata_element(tag, self.items)


@dataclass(frozen=True, slots=True)
class MetaView:
    """One item (R177)."""

    key: str
    value: Any

    def json(self) -> dict[str, Any]:
        """A map of one member."""
        return {self.key: self.value}

    def xml(self, tag: str) -> Element:
        """An element with the key as attribute and the value as text."""
        return compute.leaf(tag, self.value, {"key": self.key})
