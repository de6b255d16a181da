"""A tree of what can be read by path: leaves that have a body, directories that list names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

BYTES = "application/octet-stream"
JSON = "application/json"

Node: TypeAlias = "Leaf | Directory"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A body to be sent with status 200."""

    body: bytes
    content_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Directory:
    """Named nodes.

    ``titles`` says how a name is listed when not by itself, as ``0=mykey``; what is ``hidden`` can
    be read but is not listed.
    """

    nodes: Mapping[str, Node]
    titles: Mapping[str, str] | None = None
    hidden: frozenset[str] = frozenset()

    def listing(self) -> str:
        """Sorted names, one a line, no final line feed; names with children end in a slash."""
        return "\n".join(self._title(name) for name in sorted(self.nodes.keys() - self.hidden))

    def _title(self, name: str) -> str:
        if self.titles and name in self.titles:
            return self.titles[name]
        return f"{name}/" if isinstance(self.nodes[name], Directory) else name


def text(value: str) -> Leaf:
    """A leaf of plain text."""
    return Leaf(value.encode())


def find(root: Node, path: str) -> Leaf | None:
    """What ``path``, as it came in the request line, holds; None for 404.

    Empty segments and a trailing slash mean nothing; each segment is percent-decoded once.
    """
    node = root
    for segment in path.partition("?")[0].split("/"):
        if not segment:
            continue
        if not isinstance(node, Directory):
            return None
        found = node.nodes.get(unquote(segment))
        if found is None:
            return None
        node = found
    return text(node.listing()) if isinstance(node, Directory) else node


def tree_of(files: Mapping[str, Leaf]) -> Directory:
    """The files, by path without leading slash, as a tree."""
    below: dict[str, dict[str, Leaf]] = {}
    nodes: dict[str, Node] = {}
    for path, leaf in files.items():
        name, _, rest = path.partition("/")
        if rest:
            below.setdefault(name, {})[rest] = leaf
        else:
            nodes[name] = leaf
    return Directory(nodes | {name: tree_of(files) for name, files in below.items()})
