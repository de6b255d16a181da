"""Metadata is the same in JSON and in XML, whatever it holds (R30, R173-R177, D3, D30)."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from api.wire.call import Format
from api.wire.metadata import META, METADATA, MetadataView, MetaView
from api.wire.render import encode
from api.wire.shapes import Body
from api.wire.view import Document, One
from api.wire.xml import legal, parse, serialize

TEXT = st.text(st.characters(codec="utf-8").filter(lambda letter: legal(letter) == letter))
ITEMS = st.dictionaries(TEXT, TEXT)
SHOWN = st.dictionaries(TEXT, TEXT | st.none() | st.integers())  # as public images have it (D43)
relaxed = settings(deadline=None)


def reread(document: Document, body: Body) -> tuple[Any, Any]:
    """What a document holds in JSON and, read as a request would be, in XML."""
    as_json = orjson.loads(encode(document, Format.JSON))[body.root]
    return as_json, body.read(parse(encode(document, Format.XML)))


@relaxed
@given(ITEMS)
def test_a_request_is_the_same_in_both_forms(items: dict[str, str]) -> None:
    as_json = orjson.loads(orjson.dumps({"metadata": items}))["metadata"]
    assert METADATA.read(parse(serialize(METADATA.write(as_json)))) == items
    for key, value in items.items():
        assert META.read(parse(serialize(META.write({key: value})))) == {key: value}


@relaxed
@given(ITEMS)
def test_an_answer_is_the_same_in_both_forms(items: dict[str, str]) -> None:
    as_json, as_xml = reread(One("metadata", MetadataView(items)), METADATA)
    assert as_json == as_xml == items
    for key, value in items.items():
        as_json, as_xml = reread(One("meta", MetaView(key, value)), META)
        assert as_json == as_xml == {key: value}


@relaxed
@given(SHOWN)
def test_xml_has_the_text_of_what_is_no_text(items: dict[str, str | int | None]) -> None:
    as_xml = METADATA.read(parse(encode(One("metadata", MetadataView(items)), Format.XML)))
    assert as_xml == {key: str(value) for key, value in items.items()}


@relaxed
@given(st.dictionaries(st.text(), st.text()))
def test_what_xml_cannot_hold_is_left_out_of_it(items: dict[str, str]) -> None:
    as_xml = METADATA.read(parse(serialize(METADATA.write(items))))
    assert as_xml == {legal(key): legal(value) for key, value in items.items()}


def test_d5_white_space_beside_a_value_attribute_is_no_text() -> None:
    """A pretty printer's line breaks do not hide the value; without the attribute they are it."""
    assert META.read(parse(b'<meta key="k" value="v">\n  </meta>')) == {"k": "v"}
    assert META.read(parse(b'<meta key="k" value="v">text</meta>')) == {"k": "text"}
    assert META.read(parse(b'<meta key="k">  </meta>')) == {"k": "  "}
