"""Hostile and malformed bodies, on every operation that takes one (R20, D26; row 8).

The published failures were missed in extensions: so no operation may be left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from api.wire.body import LIMIT
from api.wire.call import Format
from tests.api.client import fault
from tests.contract import corrections
from tests.contract.reference import ALL, Operation
from tests.contract.served import ROUTES
from tests.contract.stage import Stage, path_of

JSON, XML = Format.JSON.value, Format.XML.value
TAKING = [operation for operation in ALL if operation.has_body]
_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


def bare(operation: Operation) -> str:
    """The XML example without its declaration."""
    return re.sub(r"<\?xml.*?\?>\s*", "", corrections.request(operation, xml=True).decode())


def inside(example: str, more: str) -> str:
    """An example with something more at the end of its root element."""
    if "</" not in example:
        root = re.match(r"<([\w-]+)", example)
        assert root
        return f"{example.removesuffix('/>')}>{more}</{root[1]}>"
    at = example.rindex("</")
    return example[:at] + more + example[at:]


@dataclass(frozen=True)
class Bad:
    """A way to spoil an example, and what it is answered with."""

    name: str
    content_type: str
    spoil: Callable[[Operation], bytes]
    answer: tuple[int, str] = (400, "badRequest")


def xml(name: str, spoil: Callable[[str], str | bytes], content_type: str = XML) -> Bad:
    """One that makes something of the XML example."""

    def spoiled(operation: Operation) -> bytes:
        made = spoil(bare(operation))
        return made if isinstance(made, bytes) else made.encode()

    return Bad(name, content_type, spoiled)


def sent(name: str, content: bytes, content_type: str = JSON) -> Bad:
    """One that has nothing of the example."""
    return Bad(name, content_type, lambda _: content)


def as_json(operation: Operation) -> bytes:
    return corrections.request(operation, xml=False)


def as_xml(operation: Operation) -> bytes:
    return corrections.request(operation, xml=True)


UNSUPPORTED, TOO_LARGE = (415, "badMediaType"), (413, "overLimit")
SPOILED = (
    xml("billion laughs", lambda x: f'<!DOCTYPE l [<!ENTITY l0 "l">{_LAUGHS}]>{inside(x, "&l9;")}'),
    xml("entity of a file", lambda x: '<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
        + inside(x, "&e;")),
    xml("entity by HTTP", lambda x: '<!DOCTYPE r [<!ENTITY e SYSTEM "http://127.0.0.1:1/e">]>'
        + inside(x, "&e;")),
    xml("parameter entity", lambda x: '<!DOCTYPE r [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>'
        + x),
    xml("external DTD", lambda x: f'<!DOCTYPE r SYSTEM "http://127.0.0.1:1/r.dtd">{x}'),
    xml("empty DTD", lambda x: f"<!DOCTYPE r>{x}"),
    xml("unknown entity", lambda x: inside(x, "&nothing;")),
    xml("too deep", lambda x: inside(x, "<a>" * 5000 + "</a>" * 5000)),
    xml("UTF-16", lambda x: x.encode("utf-16")),
    xml("UTF-16 declared", lambda x: f'<?xml version="1.0" encoding="UTF-16"?>{x}'),
    xml("latin-1 declared", lambda x: f'<?xml version="1.0" encoding="ISO-8859-1"?>{x}'),
    xml("latin-1 bytes", lambda x: inside(x, "<a>\xe9</a>").encode("latin-1")),
    xml("NUL", lambda x: inside(x, "<a>\0</a>")),
    xml("NUL by number", lambda x: inside(x, "<a>&#0;</a>")),
    xml("not closed", lambda x: x[:-3]),
    xml("two roots", lambda x: x + x),
    xml("text behind", lambda x: f"{x}text"),
    xml("XML as JSON", lambda x: x, JSON),
    sent("another root", b"<other/>", XML),
    sent("no XML", b"{}", XML),
    sent("white space", b" \n", XML),
    sent("nothing", b"", XML),
    sent("nothing", b""),
    sent("broken", b"{"),
    sent("a list", b"[]"),
    sent("null", b"null"),
    sent("a text", b'"text"'),
    sent("another root", b'{"other": {}}'),
    sent("no root", b"{}"),
    sent("deep lists", b"[" * 100_000),
    sent("deep maps", b'{"a":' * 5000 + b"1" + b"}" * 5000),
    sent("NaN", b'{"a": NaN}'),
    Bad("more behind", JSON, lambda o: as_json(o) + b"x"),
    Bad("NUL", JSON, lambda o: as_json(o).replace(b": ", b': "\\u0000", "a": ', 1)),
    Bad("half a pair", JSON, lambda o: as_json(o).replace(b"{", b'{"\\ud800": 1, ', 1)),
    Bad("not UTF-8", JSON, lambda o: as_json(o).replace(b"{", b'{"\xff": 1, ', 1)),
    Bad("UTF-16", JSON, lambda o: as_json(o).decode().encode("utf-16")),
    Bad("JSON as XML", XML, as_json),
    Bad("text", "text/plain", as_json, UNSUPPORTED),
    Bad("no type", "", as_json, UNSUPPORTED),
    Bad("form", "application/x-www-form-urlencoded", as_json, UNSUPPORTED),
    Bad("JSON in latin-1", f"{JSON}; charset=latin-1", as_json, UNSUPPORTED),
    Bad("XML in UTF-16", f"{XML}; charset=utf-16", as_xml, UNSUPPORTED),
    Bad("too large", JSON, lambda o: b" " * LIMIT + as_json(o), TOO_LARGE),
    Bad("too large", XML, lambda o: as_xml(o) + b" " * LIMIT, TOO_LARGE),
)  # fmt: skip


def example_of(bad: Bad) -> str:
    return f"{bad.name}-{bad.content_type.rpartition('/')[2] or 'untyped'}"


@pytest.mark.parametrize("bad", SPOILED, ids=example_of)
@pytest.mark.parametrize("operation", TAKING, ids=lambda o: o.id)
def test_row8_r20_d26_it_is_refused_and_changes_nothing(
    stage: Stage, operation: Operation, bad: Bad
) -> None:
    stage.set(operation)
    before = stage.digest()
    headers = {"Content-Type": bad.content_type} if bad.content_type else {}
    answer = stage.send(
        operation.method, path_of(operation.path), bad.spoil(operation), headers=headers
    )
    status, root, message = fault(answer)
    assert (status, root) == bad.answer
    assert "root:" not in message
    assert stage.digest() == before


ANY = "<any><name>x</name></any>"
EMPTY = ("nothing", "white space", "another root")  # which an allocation may have
MADE = [bad for bad in SPOILED if bad.content_type == XML and bad.answer[0] == 400]
ELSEWHERE = sorted(
    (method, route.path_format)
    for (method, path), route in ROUTES.items()
    if method in ("POST", "PUT")
    and not path.startswith("/internal")
    and (method, path) not in {operation.route for operation in TAKING}
)


@pytest.mark.parametrize("bad", MADE, ids=lambda bad: bad.name)
@pytest.mark.parametrize(("method", "path"), ELSEWHERE)
def test_row8_nor_by_the_operations_that_the_reference_does_not_list(
    stage: Stage, method: str, path: str, bad: Bad
) -> None:
    """Identity, and what takes a body though it needs none (D40)."""
    stage.set()
    before = stage.digest()
    spoiled = bad.spoil(replace(TAKING[0], xml_request=ANY, json_request="{}"))
    answer = stage.send(method, path_of(path), spoiled, Format.XML)
    if answer.status_code != 200 or bad.name not in EMPTY:
        assert fault(answer)[:2] == (400, "badRequest")
        assert stage.digest() == before


def in_json(operation: Operation) -> dict[str, object]:
    found: dict[str, object] = json.loads(as_json(operation))
    return found


def renamed(example: str) -> str:
    """An example with a prefix for its namespace, whatever that is."""
    plain = re.sub(r'\sxmlns="[^"]*"', "", example)
    prefixed = re.sub(r"<(/?)([\w-]+)", r"<\1p:\2", plain)
    return re.sub(r"<p:[\w-]+", r'\g<0> xmlns:p="urn:other"', prefixed, count=1)


HUGE = "a" * 900_000
TOLERATED = {
    "no namespace": lambda x: re.sub(r'\sxmlns="[^"]*"', "", x),
    "a namespace with prefix": renamed,
    "declared": lambda x: f"<?xml version='1.0' encoding='utf-8' standalone='yes'?>{x}",
    "byte order mark": lambda x: f"\ufeff{x}",
    "comment and instruction": lambda x: inside(x, "<!-- c --><?p i?>"),
    "unknown element": lambda x: inside(x, "<unknown><deeper>1</deeper></unknown>"),
    "unknown attribute": lambda x: re.sub(r"^<[\w-]+", r'\g<0> unknown="1"', x),
    "huge attribute": lambda x: re.sub(r"^<[\w-]+", rf'\g<0> unknown="{HUGE}"', x),
    "white space around": lambda x: f"\n\n {x} \n",
    "upper case type": lambda x: x,
}


@pytest.mark.parametrize("name", TOLERATED)
@pytest.mark.parametrize("operation", TAKING, ids=lambda o: o.id)
def test_r30_d3_d26_d83_other_spellings_are_understood(
    stage: Stage, operation: Operation, name: str
) -> None:
    stage.set(operation)
    kind = "Application/XML; charset=utf-8" if name == "upper case type" else XML
    answer = stage.send(
        operation.method, path_of(operation.path), TOLERATED[name](bare(operation)).encode(),
        headers={"Content-Type": kind},
    )  # fmt: skip
    assert answer.status_code == operation.success, answer.text


@pytest.mark.parametrize("operation", [o for o in TAKING if not o.action], ids=lambda o: o.id)
def test_d26_unknown_members_beside_the_root_do_not_matter(
    stage: Stage, operation: Operation
) -> None:
    stage.set(operation)
    content = json.dumps({"before": None, **in_json(operation), "behind": [HUGE]}).encode()
    answer = stage.send(operation.method, path_of(operation.path), content, Format.JSON)
    assert answer.status_code == operation.success, answer.text
