"""Faults as bodies (R80-R84, D20)."""

from dataclasses import dataclass
from typing import Any

from api.faults import Fault
from api.wire.xml import Element, Writer, compute

IDENTITY = "http://docs.openstack.org/identity/api/v2.0"
identity = Writer(IDENTITY)


@dataclass(frozen=True, slots=True)
class FaultDocument:
    """A fault; ``identity``: in the form of the identity service (wire-notes 4.2)."""

    fault: Fault
    identity: bool = False

    def json(self) -> dict[str, Any]:
        """Root member that names the kind of fault, holding code and message (R81)."""
        return self.fault.identity_body() if self.identity else self.fault.body()

    def xml(self) -> Element:
        """Root element with the code as attribute, and a child for every other member (R81)."""
        writer = identity if self.identity else compute
        ((root, members),) = self.json().items()
        shown = {key: value for key, value in members.items() if not isinstance(value, dict)}
        code = shown.pop("code")
        return writer(root, {"code": code}, *[writer.leaf(key, shown[key]) for key in shown])
