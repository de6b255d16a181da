"""Access keys: times in JSON are milliseconds since 1970, in XML text (wire-notes 4.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from api.identity.access_keys.bodies import hp_idm
from api.identity.access_keys.service import Shown
from api.identity.views import milliseconds
from api.wire.xml import Element
from db.queries.access_keys import AccessKeyRow

DOMAIN_ID = "00000000001001"  # the one domain, which every user is in
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = ("createdOn", "validFrom", "validTo")
_CHILDREN = ("algorithm", "keyLength", "secretKey")


@dataclass(frozen=True, slots=True)
class AccessKeyView:
    """A key; its secret when it is to be shown."""

    shown: Shown

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        times = {name: at and _since_1970(at) for name, at in self._times().items()}
        return {**self._members(), **times}

    def xml(self, tag: str) -> Element:
        """Attributes, and what is not about its owner or time as children."""
        members = self._members()
        children = [hp_idm.leaf(name, members.pop(name)) for name in _CHILDREN if name in members]
        times = {name: milliseconds(at) for name, at in self._times().items() if at}
        return hp_idm(tag, {**members, **times}, *children)

    def _members(self) -> dict[str, Any]:
        key, secret = self.shown.key, self.shown.secret
        return {
            "accessKeyId": key.id,
            **({} if secret is None else {"secretKey": secret}),
            "algorithm": key.algorithm,
            "keyLength": key.key_length,
            "status": key.status,
            "userId": key.user_id,
            "domainId": DOMAIN_ID,
        }

    def _times(self) -> dict[str, datetime | None]:
        key = self.shown.key
        return dict(zip(_TIMES, (key.created_at, key.valid_from, key.valid_to), strict=True))


@dataclass(frozen=True, slots=True)
class AccessKeyList:
    """The body of a list, which in JSON is one map deeper than lists elsewhere."""

    keys: Sequence[Shown]

    def json(self) -> dict[str, Any]:
        """Body in JSON."""
        return {"accessKeys": {"accessKey": [AccessKeyView(key).json() for key in self.keys]}}

    def xml(self) -> Element:
        """Root element."""
        return hp_idm("accessKeys", None, *[AccessKeyView(k).xml("accessKey") for k in self.keys])


def _since_1970(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


_AT = datetime(2012, 11, 28, 12, tzinfo=UTC)
#: For the OpenAPI document.
SAMPLE = AccessKeyRow(
    "19N488ACAF3859DW9AFS", "30744378952176", b"", "HmacSHA1", 240, "active", _AT,
    _AT + timedelta(days=3650), _AT,
)  # fmt: skip
