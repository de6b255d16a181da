"""The one place that parses XML and the one that writes it (R29-R31, D3, D26, D30).

Reading is hardened (security: row 8): a document type ends the parse before any entity of it is
seen, nothing is fetched, depth is bounded, and every other encoding than UTF-8 is refused. The five
entities that need no declaration are resolved, which the library leaves undone in attributes when
told to resolve none. Names are read without their namespace, since clients leave it out (R30).

Writing takes any value: text is the value's text, so that null is ``None`` as in the reference
(R31), and characters that XML 1.0 cannot hold are left out (R209). No white space is added (D3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lxml import etree

COMPUTE = "http://docs.openstack.org/compute/api/v1.1"
ATOM = "http://www.w3.org/2005/Atom"
DEEPEST = 32  # elements within each other; the deepest request of the reference has 4

Element = etree._Element  # the library's name for the type of its elements

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECLARED = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([^"']*)["']""")
_UTF8 = {b"utf-8", b"utf8", b"us-ascii", b"ascii"}


class XmlError(ValueError):
    """The text is no XML that is taken here."""


class _Builder(etree.TreeBuilder):
    """Builds the tree while it is allowed to grow."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: Any, attributes: Any) -> Any:
        """Prefixes are left out: names carry their namespace, and "" would be refused as one."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise XmlError("too deep")
        return super().start(tag, attributes)

    def end(self, tag: Any) -> Any:
        self._depth -= 1
        return super().end(tag)

    def doctype(self, *_: object) -> None:
        """Nothing here has one."""
        raise XmlError("a document type is not allowed")


def parse(data: bytes) -> Element:
    """Root element of a document in UTF-8. Raises XmlError."""
    data = data.strip()
    declared = _DECLARED.match(data[:200])
    if declared and declared[1].lower() not in _UTF8:
        raise XmlError("not in UTF-8")
    parser = etree.XMLParser(
        target=_Builder(), encoding="utf-8", no_network=True, load_dtd=False, huge_tree=False,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip
    try:
        root: Element | None = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError, AssertionError) as error:
        raise XmlError(str(error)) from None
    if root is None:
        raise XmlError("no element")
    return root


def name_of(element: Element) -> str:
    """Name without the namespace."""
    return str(element.tag).rpartition("}")[2]


def children_named(element: Element, name: str) -> list[Element]:
    """Child elements of a name, in any namespace."""
    return [child for child in element if name_of(child) == name]


def text_of(element: Element) -> str:
    """Text of an element, verbatim; what child elements hold is not part of it."""
    return "".join([element.text or "", *(child.tail or "" for child in element)])


class Writer:
    """Makes elements of one namespace; None: of no namespace."""

    def __init__(self, namespace: str | None, **prefixes: str) -> None:
        self._prefix = f"{{{namespace}}}" if namespace else ""
        self._names: dict[Any, str] = dict(prefixes)
        if namespace:
            self._names[None] = namespace

    def __call__(
        self, tag: str, attributes: Mapping[str, object] | None = None, *children: Element
    ) -> Element:
        """An element with attributes and children in the order given."""
        made = etree.Element(self._prefix + tag, None, self._names)
        for name, value in (attributes or {}).items():
            made.set(name, legal(value))
        made.extend(children)
        return made

    def leaf(
        self, tag: str, value: object, attributes: Mapping[str, object] | None = None
    ) -> Element:
        """An element that holds a value's text; null is ``None`` (D30)."""
        made = self(tag, attributes)
        made.text = legal(value) or None
        return made


compute = Writer(COMPUTE, atom=ATOM)


_LINK: dict[Any, str] = {"atom": ATOM}


def links(given: Iterable[Mapping[str, str]]) -> list[Element]:
    """Links of a JSON form as Atom links: href, rel and, where there is one, type (R29)."""
    made = []
    for link in given:
        order = [key for key in ("href", "rel", "type") if key in link]
        element = etree.Element(f"{{{ATOM}}}link", None, _LINK)
        for key in order:
            element.set(key, link[key])
        made.append(element)
    return made


def legal(value: object) -> str:
    """Text of a value, without what XML cannot hold."""
    return _ILLEGAL.sub("", str(value))


def serialize(root: Element) -> bytes:
    """Document with its declaration, in UTF-8."""
    etree.cleanup_namespaces(root, keep_ns_prefixes=[])
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)
