"""Extensions: a table, since each is a fact about this code (R76, D61)."""

from dataclasses import dataclass
from typing import Any

from api.wire.xml import Element, compute


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension as clients discover it (R77)."""

    alias: str
    name: str
    description: str
    namespace: str
    updated: str

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        return {
            "alias": self.alias,
            "description": self.description,
            "links": [],
            "name": self.name,
            "namespace": self.namespace,
            "updated": self.updated,
        }

    def xml(self, tag: str) -> Element:
        """Attributes, and the description as a child."""
        attributes = {
            "name": self.name,
            "namespace": self.namespace,
            "alias": self.alias,
            "updated": self.updated,
        }
        return compute(tag, attributes, compute.leaf("description", self.description))


# Those whose paths are served; an extension not listed here is not there (R79).
SERVED = (
    Extension(
        "os-keypairs",
        "Keypairs",
        "Keypair Support",
        "http://docs.openstack.org/ext/keypairs/api/v1.1",
        "2011-08-08T00:00:00+00:00",
    ),
)
