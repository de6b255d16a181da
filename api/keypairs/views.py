"""Keypairs."""

from dataclasses import dataclass
from typing import Any

from api.keypairs.service import Made
from api.wire.xml import Element, compute
from db.queries.keypairs import KeypairRow

SAMPLE = KeypairRow(
    name="keypair-1",
    public_key="ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB(...)== \n",
    fingerprint="d3:e3:5f:26:dc:30:fc:04:57:91:ba:c0:1c:f8:8d:cd",
)
MADE_SAMPLE = Made(SAMPLE, "13311562627589", "-----BEGIN RSA PRIVATE KEY-----\n(...)\n")


@dataclass(frozen=True, slots=True)
class KeypairView:
    """A keypair by name (R233)."""

    keypair: KeypairRow

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        return {
            "fingerprint": self.keypair.fingerprint,
            "name": self.keypair.name,
            "public_key": self.keypair.public_key,
        }

    def xml(self, tag: str) -> Element:
        """A child for each member, in the reference's order."""
        return _element(tag, self.json())


@dataclass(frozen=True, slots=True)
class KeypairItem:
    """A keypair in the list, which wraps each once more (R232, D8)."""

    keypair: KeypairRow

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        return {"keypair": KeypairView(self.keypair).json()}

    def xml(self, tag: str) -> Element:
        """The same twice nested (D8)."""
        return compute(tag, None, KeypairView(self.keypair).xml("keypair"))


@dataclass(frozen=True, slots=True)
class MadeView:
    """A keypair just made: the only time that the private half is seen (R231)."""

    made: Made

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        members = {**KeypairView(self.made.keypair).json(), "user_id": self.made.user_id}
        if self.made.private_key is not None:
            members["private_key"] = self.made.private_key
        return members

    def xml(self, tag: str) -> Element:
        """A child for each member."""
        return _element(tag, self.json())


_ORDER = ("public_key", "private_key", "user_id", "name", "fingerprint")


def _element(tag: str, members: dict[str, Any]) -> Element:
    return compute(tag, None, *[compute.leaf(k, members[k]) for k in _ORDER if k in members])
