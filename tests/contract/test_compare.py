"""The comparison itself: what is not like an example is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from lxml import etree

from api.wire.xml import Element
from tests.contract.compare import like_json, like_xml
from tests.contract.corrections import json_example, xml_example
from tests.contract.reference import OPERATIONS

SHOWN = OPERATIONS["servers.show"]
LINK = "https://h/v1.1/1/images/2"


def json_server() -> Any:
    return copy.deepcopy(json_example(SHOWN))


def xml_server() -> Element:
    found = xml_example(SHOWN)
    assert found is not None
    return found


@pytest.mark.parametrize("operation", [o for o in OPERATIONS.values() if o.json_answer])
def test_an_example_is_like_itself(operation: Any) -> None:
    like_json(json_example(operation), json_example(operation))
    example, again = xml_example(operation), xml_example(operation)
    assert example is not None
    assert again is not None
    like_xml(example, again)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update(id="233693"),
        lambda s: s.update(more=1),
        lambda s: s.pop("uuid"),
        lambda s: s.update(key_name=None),
        lambda s: s.update(security_groups=[]),
        lambda s: s["addresses"]["private"][1].update(version="4"),
        lambda s: s["links"].reverse(),
        lambda s: s["image"]["links"][0].update(href="https://h/1/flavors/1"),
        lambda s: s["image"]["links"][0].update(href=LINK),
        lambda s: s.update(metadata={}),
    ],
)
def test_json_that_differs(change: Callable[[Any], Any]) -> None:
    changed = json_server()
    change(changed["server"])
    with pytest.raises(AssertionError):
        like_json(json_server(), changed)


def _rename(root: Element) -> None:
    root.tag = "server"  # no namespace


@pytest.mark.parametrize(
    "change",
    [
        _rename,
        lambda s: s.set("more", "1"),
        lambda s: s.attrib.pop("uuid"),
        lambda s: s.set("id", "x"),
        lambda s: s.set("hostId", ""),
        lambda s: s.append(s[0]),
        lambda s: s.remove(s[2]),
        lambda s: s[0].set("href", LINK),
        lambda s: s[0].set("rel", "bookmark"),
        lambda s: s[2].append(etree.Element("more")),
        lambda s: setattr(s[2], "text", "text"),
        lambda s: setattr(s[2], "tail", "text"),
        lambda s: s[4].append(etree.Element("meta", key="k")),
        lambda s: s[5][0][1].set("version", "None"),
        lambda s: s[6].clear(),
    ],
)
def test_xml_that_differs(change: Callable[[Any], Any]) -> None:
    changed = xml_server()
    change(changed)
    with pytest.raises(AssertionError):
        like_xml(xml_server(), changed)
