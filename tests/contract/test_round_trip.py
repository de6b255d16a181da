"""What is written reads as it was: bodies through XML, and views in both forms (R21, R30, D3)."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

import api
import api.app
from api.wire.document import DESCRIBED
from api.wire.shapes import Body, Items, ListOf, Pair, Record, Shape, Text
from api.wire.xml import Element, legal, parse, serialize
from tests.contract.strategies import bounded

TEXTS = st.text(max_size=20).map(legal)
MEANS_NOTHING = ("", "None")  # D30


def bodies() -> dict[str, Body]:
    """Every body that a module of the API declares."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(api.__path__, "api.")
        if found.name.endswith((".bodies", ".metadata"))
    ]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Body)
    }


BODIES = bodies()


def scalars(shape: Text) -> st.SearchStrategy[Any]:
    texts = TEXTS.map(str.strip)
    if shape.absent:
        texts = texts.filter(lambda text: text not in MEANS_NOTHING)
    return texts | st.integers() if "integer" in shape.types else texts


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Values that a shape holds."""
    match shape:
        case Text():
            return scalars(shape)
        case ListOf():
            items = st.lists(values(shape.shape), max_size=3)
            wrapped = isinstance(shape.example, dict)
            return items.map(lambda found: {shape.item: found}) if wrapped else items
        case Items():
            return st.dictionaries(TEXTS, TEXTS, max_size=3)
        case Pair():
            return st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=1)
        case Record():
            members = {name: values(member) for name, member in shape.members.items()}
            always = {shape.text: members.pop(shape.text)} if shape.text else {}
            return st.fixed_dictionaries(always, optional=members)
        case _:
            raise AssertionError(f"no values for {shape}")


def as_text(value: Any) -> Any:
    """What XML makes of a value: scalars are text."""
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    return [as_text(item) for item in value] if isinstance(value, list) else str(value)


@pytest.mark.parametrize("name", BODIES)
def test_r21_a_body_in_xml_is_the_same_as_in_json(name: str) -> None:
    body = BODIES[name]

    @bounded(50)
    @given(values(body.shape))
    def written_and_read(value: Any) -> None:
        assert body.read(parse(serialize(body.write(value)))) == as_text(value)

    written_and_read()


#: Members that XML does not have, or has in another way, by operation or the start of its id.
NOT_IN_XML = {
    "servers.list": {"uuid"},
    "servers": {"key_name", "config_drive"},
    "identity.tenants": {"created", "updated"},
    "accesskeys": {"createdOn", "validFrom", "validTo"},
}
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def varied(value: Any, *, record: bool = False) -> st.SearchStrategy[Any]:
    """Documents like one: what the records of the database hold is another."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        record = type(value).__module__.startswith("db.")
        fields = {
            field.name: varied(getattr(value, field.name), record=record)
            for field in dataclasses.fields(value)
        }
        return st.fixed_dictionaries(fields).map(lambda new: dataclasses.replace(value, **new))
    if isinstance(value, list | tuple) and value:
        return st.lists(varied(value[0], record=record), max_size=3)
    if record and isinstance(value, dict):
        return st.fixed_dictionaries({k: varied(v, record=True) for k, v in value.items()})
    if record and isinstance(value, bool):
        return st.booleans()
    kinds = {str: TEXTS, int: st.integers(0, 2**63), datetime: TIMES}
    return kinds.get(type(value), st.just(value)) if record else st.just(value)


def said_in_json(value: Any, without: set[str]) -> tuple[set[str], set[str]]:
    """All values and all names in a JSON value."""
    said, names = set(), set()
    if isinstance(value, dict):
        for name, item in value.items():
            below, deeper = said_in_json(item, without)
            said |= set() if name in without else below
            names |= {name} | deeper
    elif isinstance(value, list | tuple):
        for item in value:
            below, deeper = said_in_json(item, without)
            said |= below
            names |= deeper
    else:
        said.add(str(value).lower() if isinstance(value, bool) else str(value))
    return said - {""}, names


def said_in_xml(element: Element, without: set[str]) -> set[str]:
    """All attributes' values and texts in an element."""
    said = set()
    for found in element.iter():
        said |= {str(value) for name, value in found.attrib.items() if name not in without}
        said |= set() if len(found) else {found.text or ""}
    return said - {""}


@pytest.mark.parametrize("operation_id", [i for i, d in DESCRIBED.items() if d.answers])
def test_r4_an_answer_says_the_same_in_both_forms(operation_id: str) -> None:
    name = operation_id if operation_id in NOT_IN_XML else operation_id.partition(".")[0]
    without = NOT_IN_XML.get(name, set())

    @bounded(25)
    @given(varied(DESCRIBED[operation_id].answers))
    def shown_twice(document: Any) -> None:
        said, names = said_in_json(document.json(), without)
        everything, _ = said_in_json(document.json(), set())
        in_xml = said_in_xml(etree.fromstring(serialize(document.xml())), without)
        assert said <= in_xml
        assert in_xml <= everything | names

    shown_twice()
