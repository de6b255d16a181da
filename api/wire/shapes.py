"""What a request's body may hold, declared once for JSON, XML and the OpenAPI document.

A :class:`Body` is a root member and the shape below it. Reading XML by a shape gives the value that
the same request has in JSON, so that everything behind :func:`api.wire.body.read_body` knows one
form only. A shape decides form, never meaning: scalars come as text, and members that it does not
know are passed over (D26). What a value may be is checked where it is used, for both forms alike.

    Text     a scalar: an attribute or a child element, trimmed (D3)
    Record   named members
    ListOf   items below one element
    Items    metadata: keys and values, verbatim
    Pair     one metadata item
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from api.wire.xml import Element, Writer, children_named, compute, name_of, text_of


class Shape(Protocol):
    """The form of one value."""

    @property
    def about(self) -> str:
        """What it means, for the OpenAPI document."""
        ...

    @property
    def example(self) -> Any:
        """A value, as JSON has it."""
        ...

    def read(self, element: Element) -> Any:
        """The value that an element holds, as JSON has it."""
        ...

    def write(self, tag: str, value: Any, writer: Writer) -> Element:
        """The element that holds a value of JSON: the inverse of :meth:`read`."""
        ...

    def schema(self) -> dict[str, Any]:
        """JSON schema of what is understood."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar. ``types``: JSON types that are taken; ``attribute``: where the reference has it.

    ``absent``: the texts ``None`` and "" say that there is no value, as answers write null (D30).
    ``verbatim``: white space belongs to it, as to a password's.
    """

    about: str
    example: Any
    types: tuple[str, ...] = ("string",)
    attribute: bool = False
    absent: bool = False
    verbatim: bool = False

    def read(self, element: Element) -> Any:
        """The value of an element."""
        return self.of(text_of(element))

    def of(self, text: str) -> str | None:
        """The value of an attribute's or element's text."""
        text = text if self.verbatim else text.strip()
        return None if self.absent and text in ("", "None") else text

    def write(self, tag: str, value: Any, writer: Writer) -> Element:
        """The element of a value."""
        return writer.leaf(tag, value)

    def schema(self) -> dict[str, Any]:
        """JSON schema."""
        return _schema(self, {"type": list(self.types) if len(self.types) > 1 else self.types[0]})


@dataclass(frozen=True, slots=True)
class Record:
    """Named members. ``text``: the member, if any, that is the element's own text."""

    members: Mapping[str, Shape]
    required: tuple[str, ...] = ()
    text: str | None = None
    about: str = ""

    @property
    def example(self) -> dict[str, Any]:
        """Examples of all."""
        return {name: shape.example for name, shape in self.members.items()}

    def read(self, element: Element) -> dict[str, Any]:
        """The value of an element."""
        value: dict[str, Any] = {}
        for name, shape in self.members.items():
            if name == self.text:
                value[name] = shape.read(element)
            elif isinstance(shape, Text) and (given := element.get(name)) is not None:
                value[name] = shape.of(given)
            elif found := children_named(element, name):
                value[name] = shape.read(found[-1])  # the last wins, as in JSON
        return value

    def write(self, tag: str, value: Any, writer: Writer) -> Element:
        """The element of a value."""
        made = writer(tag)
        for name, shape in self.members.items():
            if name not in value:
                continue
            if name == self.text:
                made.text = writer.leaf(tag, value[name]).text
            elif isinstance(shape, Text) and shape.attribute:
                made.set(name, str(value[name]))
            else:
                made.append(shape.write(name, value[name], writer))
        return made

    def schema(self) -> dict[str, Any]:
        """JSON schema."""
        properties = {name: shape.schema() for name, shape in self.members.items()}
        required = {"required": list(self.required)} if self.required else {}
        return _schema(self, {"type": "object", "properties": properties, **required})


@dataclass(frozen=True, slots=True)
class ListOf:
    """Items of one shape; in XML below one element, each named ``item``."""

    item: str
    shape: Shape
    about: str = ""

    @property
    def example(self) -> list[Any]:
        """Examples of all."""
        return [self.shape.example]

    def read(self, element: Element) -> list[Any]:
        """The value of an element."""
        return [self.shape.read(child) for child in children_named(element, self.item)]

    def write(self, tag: str, value: Any, writer: Writer) -> Element:
        """The element of a value."""
        return writer(tag, None, *[self.shape.write(self.item, item, writer) for item in value])

    def schema(self) -> dict[str, Any]:
        """JSON schema."""
        return _schema(self, {"type": "array", "items": self.shape.schema()})


@dataclass(frozen=True, slots=True)
class Items:
    """Metadata. In XML ``<meta key="k">value</meta>`` or ``<meta key="k" value="v"/>`` (D5)."""

    about: str = "Keys and values, at most 255 bytes each"
    example: Mapping[str, str] = field(default_factory=lambda: {"key-1": "value-1"})

    def read(self, element: Element) -> dict[str, str]:
        """The value of an element."""
        value: dict[str, str] = {}
        for meta in children_named(element, "meta"):
            value |= PAIR.read(meta)
        return value

    def write(self, tag: str, value: Any, writer: Writer) -> Element:
        """The element of a value."""
        return writer(tag, None, *[PAIR.write("meta", {k: v}, writer) for k, v in value.items()])

    def schema(self) -> dict[str, Any]:
        """JSON schema."""
        return _schema(self, {"type": "object", "additionalProperties": {"type": "string"}})


@dataclass(frozen=True, slots=True)
class Pair:
    """One metadata item: in JSON a map of one member, in XML a key and its text."""

    about: str = "One key and its value"
    example: Mapping[str, str] = field(default_factory=lambda: {"key-1": "value-1"})

    def read(self, element: Element) -> dict[str, str]:
        """The value of an element."""
        text = text_of(element)
        given = element.get("value")
        return {element.get("key", ""): text if given is None or text.strip() else given}

    def write(self, tag: str, value: Any, writer: Writer) -> Element:
        """The element of a value."""
        ((key, text),) = value.items()
        return writer.leaf(tag, text, {"key": key})

    def schema(self) -> dict[str, Any]:
        """JSON schema."""
        return {**Items(self.about, self.example).schema(), "maxProperties": 1}


PAIR = Pair()


@dataclass(frozen=True, slots=True)
class Body:
    """A whole body: the root member, which is the root element too, and what is below it."""

    root: str
    shape: Shape
    writer: Writer = compute

    def read(self, element: Element) -> Any:
        """Value below the root; None when the root is another."""
        return self.shape.read(element) if name_of(element) == self.root else None

    def write(self, value: Any) -> Element:
        """The document's root element for a value below the root."""
        return self.shape.write(self.root, value, self.writer)

    def schema(self) -> dict[str, Any]:
        """JSON schema of the body."""
        below = {self.root: self.shape.schema()}
        return {"type": "object", "required": [self.root], "properties": below}


def _schema(shape: Shape, form: dict[str, Any]) -> dict[str, Any]:
    if shape.about:
        form["description"] = shape.about
    if isinstance(shape, Text):
        form["examples"] = [shape.example]
    return form
