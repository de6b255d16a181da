"""Requests that nobody meant: for hypothesis, from the reference's examples and from nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from lxml import etree

from api.wire.call import Format
from api.wire.xml import legal
from tests.contract import corrections
from tests.contract.reference import Operation
from tests.contract.stage import PATH, UUID


def bounded(examples: int) -> settings:
    """The same requests in every run."""
    return settings(
        derandomize=True, database=None, deadline=None, max_examples=examples,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


def seldom(once_in: int) -> st.SearchStrategy[bool]:
    """True once in so many times."""
    return st.sampled_from([False] * (once_in - 1) + [True])


ODD_TEXTS = st.text(max_size=20) | st.sampled_from([
    "", " ", "None", "null", "0", "-1", "1.5", "1e3", "0x10", "\u0661", "9" * 19, "9" * 30, "1_0",
    "a" * 255, "a" * 256, "\u00e9" * 200, "a" * 70_000, "\U0001f600", "\u202e", "\ufffe", "a\tb\nc",
    "\0", "a\0b", "..", "a/b", "%", "%00", "'; --", "{}", "<a>", "&amp;", "{0}", "(", "[a-",
    "(a+)+$", "255.255.255.255/33", "0.0.0.0/0", "::/0", "tcp", "default", "public", "HARD",
    "http://h/v1.1/1/images/120", UUID, UUID.upper(), "2012-10-05T03:47:15Z", "2012-13-01",
    "9999-12-31T23:59:59+14:00", "SGVsbG8K", "====",
])  # fmt: skip
HALF_PAIRS = st.sampled_from(["\ud800", "a\udfffb"])  # what JSON can write and UTF-8 cannot
ODD_NUMBERS = (
    st.integers() | st.floats() | st.sampled_from([0, -1, 2**31, 2**63 - 1, 2**63, 2**200])
)
ODD_VALUES = st.recursive(
    st.none() | st.booleans() | ODD_NUMBERS | ODD_TEXTS | HALF_PAIRS,
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(ODD_TEXTS, deeper, max_size=3),
    max_leaves=6,
)
TOKENS = st.sampled_from([
    "<!DOCTYPE a>", "&x;", "&#0;", "&#xD800;", "]]>", "<![CDATA[x]]>", "<?xml version='1.1'?>", "<",
    ">", '"', "\0", "\ufeff", "xmlns:a='b'", "a:b='c'", " ", "<a/>", "<!--", "%",
])  # fmt: skip
FORMS = {"": None, ".json": Format.JSON, ".xml": Format.XML}
ACCEPTS = {
    "application/json": Format.JSON, "application/xml": Format.XML, "*/*": Format.JSON,
    "": Format.JSON, "text/html, application/xml;q=0.5": Format.XML, ";q=\xff,,": Format.JSON,
    "application/xml;q=nan, application/json;q=0": Format.JSON,
}  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A request, and the form that its answer must have."""

    method: str
    path: str
    form: Format
    headers: dict[str, str]
    content: bytes | None = field(repr=True, default=None)


@st.composite
def requests(draw: st.DrawFn, operation: Operation) -> Sent:
    """A request to the path of an operation, odd in one or several ways."""
    suffix = draw(st.sampled_from(list(FORMS)))
    accept = draw(st.sampled_from(list(ACCEPTS)))
    headers = {"Accept": accept}
    content = None
    if operation.has_body or draw(seldom(10)):
        content, content_type = draw(contents(operation))
        if draw(seldom(20)):
            content_type = draw(
                st.sampled_from(["", "text/plain", "application/xml;charset=a", "\xff"])
            )
        headers["Content-Type"] = content_type
    if draw(seldom(20)):
        headers["X-Auth-Token"] = draw(st.sampled_from(["", "HPAuth_", "\xff", "x" * 5000]))
    return Sent(
        operation.method, draw(paths(operation)) + suffix + draw(queries(operation)),
        FORMS[suffix] or ACCEPTS[accept], headers, content,
    )  # fmt: skip


@st.composite
def paths(draw: st.DrawFn, operation: Operation) -> str:
    """Its path, seldom with other ids than the scene's."""
    parts = []
    for part in operation.path.split("/"):
        if not part.startswith("{"):
            parts.append(part)
            continue
        once_in = 30 if part == "{tenant_id}" else 3 if operation.reads else 10
        odd = draw(seldom(once_in))
        value = draw(ODD_TEXTS.filter(bool)) if odd else str(PATH[part.strip("{}")])
        parts.append(quote(value[:2000], safe="").replace(".", "%2E"))
    return "/".join(parts)


@st.composite
def queries(draw: st.DrawFn, operation: Operation) -> str:
    """A query of its parameters and others, with whatever values."""
    if not operation.reads:
        return ""
    names = st.sampled_from([*operation.query, "limit", "marker", "changes-since", "status", "x"])
    pairs = draw(st.lists(st.tuples(names, ODD_TEXTS), max_size=2))
    return "?" + "&".join(f"{name}={quote(value[:2000], safe='')}" for name, value in pairs)


def contents(operation: Operation) -> st.SearchStrategy[tuple[bytes, str]]:
    """A body and its Content-Type."""
    anything = st.binary(max_size=50), ODD_VALUES.map(_dumped)
    made = [
        st.tuples(st.one_of(*anything), st.sampled_from([form.value for form in Format])),
    ]
    if operation.has_body:
        example = json.loads(corrections.request(operation, xml=False))
        text = corrections.request(operation, xml=True).decode()
        made += [
            st.tuples(changed_json(example).map(_dumped), st.just(Format.JSON.value)),
            st.tuples(changed_xml(text), st.just(Format.XML.value)),
            st.tuples(broken(text).map(str.encode), st.just(Format.XML.value)),
        ]
    return st.one_of(*made)


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


@st.composite
def changed_json(draw: st.DrawFn, example: Any) -> Any:
    """An example with some values replaced, removed or added."""
    value = copy.deepcopy(example)
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(_places(value))))
        change = draw(st.sampled_from(["replace", "replace", "remove", "add", "repeat"]))
        if change == "replace":
            holder[key] = draw(ODD_VALUES)
        elif change == "remove":
            del holder[key]
        elif change == "add" and isinstance(holder, dict):
            holder[draw(ODD_TEXTS | HALF_PAIRS)] = draw(ODD_VALUES)
        else:
            holder[key] = [holder[key]] * draw(st.integers(0, 60))
        if not value:
            break
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every holder and key in a value."""
    found = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in found:
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


@st.composite
def changed_xml(draw: st.DrawFn, example: str) -> bytes:
    """An example with attributes, texts and elements replaced, removed or repeated."""
    root = etree.fromstring(example.encode())
    odd = ODD_TEXTS.map(legal)
    for _ in range(draw(st.integers(1, 3))):
        element = draw(st.sampled_from(list(root.iter())))
        change = draw(st.sampled_from(["text", "attribute", "drop", "rename", "remove", "repeat"]))
        names = [str(name) for name in element.attrib]
        if change == "text":
            element.text = draw(odd)
        elif change == "attribute":
            element.set(draw(st.sampled_from([*names, "name", "key", "value"])), draw(odd))
        elif change == "drop" and names:
            del element.attrib[draw(st.sampled_from(names))]
        elif change == "rename":
            element.tag = draw(st.sampled_from(["a", "meta", "name", "server", "metadata"]))
        elif (parent := element.getparent()) is not None:
            if change == "remove":
                parent.remove(element)
            else:
                parent.extend(copy.deepcopy(element) for _ in range(draw(st.integers(1, 60))))
    return etree.tostring(root, encoding="utf-8")


@st.composite
def broken(draw: st.DrawFn, example: str) -> str:
    """An example's text with something put in or taken out anywhere."""
    at = draw(st.integers(0, len(example)))
    return example[:at] + draw(TOKENS) + example[at + draw(st.integers(0, 5)) :]
