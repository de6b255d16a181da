"""Keypairs."""

from dataclasses import dataclass
from typing import Any

from api.keypairs.service import Made
from db.queries.keypairs import KeypairRow


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


@dataclass(frozen=True, slots=True)
class KeypairItem:
    """A keypair in the list, which wraps each once more (R232, D8)."""

    keypair: KeypairRow

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        return {"keypair": KeypairView(self.keypair).json()}


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
