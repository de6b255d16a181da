"""An answer is like an example when all but its values is the same.

JSON: the same members and types, recursively. XML: the same elements in the same order, with the
same attributes, and text of the same kind. Lists are compared item by item, the example's last item
standing for the rest; they are empty or not as the example's. Metadata is the client's own and is
compared by its form only. Links must lead to the same kind of place.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

from api.wire.xml import ATOM, Element, name_of

_ID = re.compile(r"\d+|[0-9a-f-]{36}")
_NUMBER = re.compile(r"-?\d+")


def like_json(expected: Any, actual: Any, where: str = "") -> None:
    """Raises AssertionError that says where a JSON value is not like the example."""
    assert type(actual) is type(expected), f"{where}: {actual!r} is not like {expected!r}"
    name = where.rpartition(".")[2]
    if isinstance(expected, dict):
        if name == "metadata":
            assert bool(actual) == bool(expected), where
            return
        assert sorted(actual) == sorted(expected), where
        for key, value in expected.items():
            like_json(value, actual[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert bool(actual) == bool(expected), f"{where}: {actual!r}"
        for at, item in enumerate(actual):
            like_json(expected[min(at, len(expected) - 1)], item, f"{where}[{at}]")
    elif name == "href":
        assert place(actual) == place(expected), where
    elif name == "rel":
        assert actual == expected, where


def like_xml(expected: Element, actual: Element, where: str = "") -> None:
    """Raises AssertionError that says where an element is not like the example."""
    where = f"{where}/{name_of(actual)}"
    assert actual.tag == expected.tag, where
    assert sorted(actual.attrib) == sorted(expected.attrib), where
    if expected.tag == f"{{{ATOM}}}link":
        assert place(actual.attrib["href"]) == place(expected.attrib["href"]), where
        assert actual.attrib["rel"] == expected.attrib["rel"], where
        return
    if name_of(expected) == "metadata":
        assert {child.tag for child in actual} == {child.tag for child in expected}, where
        assert all(list(child.attrib) == ["key"] and not len(child) for child in actual), where
        return
    for name, value in expected.attrib.items():
        assert kind(str(actual.attrib[name])) == kind(str(value)), f"{where}@{name}"
    assert kind(actual.text) == kind(expected.text), f"{where}: {actual.text!r}"
    assert all(not (child.tail or "").strip() for child in actual), where
    wanted, found = _runs(expected), _runs(actual)
    assert [tag for tag, _ in found] == [tag for tag, _ in wanted], where
    for (_, examples), (_, children) in zip(wanted, found, strict=True):
        for at, child in enumerate(children):
            like_xml(examples[min(at, len(examples) - 1)], child, f"{where}[{at}]")


def _runs(element: Element) -> list[tuple[str, list[Element]]]:
    """Children, those of one name that follow each other taken together."""
    return [(str(tag), list(run)) for tag, run in groupby(element, lambda child: child.tag)]


def kind(text: str | None) -> str:
    """Kind of an element's or attribute's text, white space around it apart (D3, D30)."""
    text = (text or "").strip()
    if text in ("", "None"):
        return text or "empty"
    return "number" if _NUMBER.fullmatch(text) else "text"


def place(href: str) -> str:
    """Where a link leads to, without host and ids."""
    return "/".join(
        "{}" if _ID.fullmatch(part) else part for part in urlsplit(href).path.split("/")
    )
