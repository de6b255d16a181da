"""Bodies of requests about access keys (wire-notes 4.2)."""

from __future__ import annotations

from typing import Any

from api.wire.shapes import Body, ListOf, Record, Text
from api.wire.xml import Element, Writer

HP_IDM = "http://www.hp.com/identity/api/ext/HP-IDM/v1.0"
hp_idm = Writer(HP_IDM)

_TIME = "Milliseconds since 1970, or YYYY-MM-DDThh:mm:ss in UTC"
_AT = 1316712986000
_MEMBERS = {
    "userId": Text("The user's own id, or none", "30744378952176", attribute=True),
    "status": Text("active or inactive", "active", attribute=True),
    "validFrom": Text(_TIME, _AT, ("integer", "string"), attribute=True),
    "validTo": Text(_TIME, _AT + 315360000000, ("integer", "string"), attribute=True),
    "algorithm": Text("HmacSHA1 or HmacSHA256", "HmacSHA1"),
    "keyLength": Text("Bits of the secret, from 64 to 512", 240, ("integer", "string")),
}
_KNOWN = {
    "accessKeyId": Text("20 of A-Z and 0-9", "19N488ACAF3859DW9AFS", attribute=True),
    **_MEMBERS,
    "secretKey": Text("The secret, from 8 to 999 characters", "...", verbatim=True),
}


class _Wrapped(ListOf):
    """Items that in JSON are a map's one member, named as each item is in XML."""

    @property
    def example(self) -> Any:
        """Examples of all."""
        return {self.item: [self.shape.example]}

    def read(self, element: Element) -> Any:
        """The value of an element."""
        return {self.item: ListOf.read(self, element)}

    def write(self, tag: str, value: Any, writer: Writer) -> Element:
        """The element of a value."""
        return ListOf.write(self, tag, value[self.item], writer)

    def schema(self) -> dict[str, Any]:
        """JSON schema."""
        return {"type": "object", "properties": {self.item: ListOf.schema(self)}}


ACCESS_KEY = Body("accessKey", Record(_MEMBERS), writer=hp_idm)
STATUS = Body("accessKey", Record({"status": _MEMBERS["status"]}, ("status",)), writer=hp_idm)
ACCESS_KEYS = Body(
    "accessKeys", _Wrapped("accessKey", Record(_KNOWN, ("secretKey",))), writer=hp_idm
)
