"""Making and importing keypairs."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from api.database import write
from api.faults import BadRequest
from api.keypairs import keys
from api.wire.body import MALFORMED
from db.queries import keypairs
from db.queries.keypairs import KeypairRow
from db.scope import Scope

_NAME = re.compile(r"[\w .@-]+")


@dataclass(frozen=True, slots=True)
class Made:
    """A keypair just made; ``private_key`` is None for an imported one, and is never stored."""

    keypair: KeypairRow
    user_id: str
    private_key: str | None


def check_name(value: Any) -> str:
    """A keypair's name (D46). Raises BadRequest."""
    if value is None:
        raise BadRequest(MALFORMED)
    if not isinstance(value, str) or not 1 <= len(value) <= 255:
        raise BadRequest("Keypair name must be between 1 and 255 characters long")
    if not _NAME.fullmatch(value):
        raise BadRequest("Keypair name contains unsafe characters")
    return value


async def create(scope: Scope, body: dict[str, Any]) -> Made:
    """Import the public key of the body, or make a pair when it has none (R230).

    Raises BadRequest for a bad name or key, and for a name that the user has already (R236).
    """
    name = check_name(body.get("name"))
    given, private_key = body.get("public_key"), None
    if given is None:
        new = await asyncio.to_thread(keys.generate)
        given, private_key = new.public_key, new.private_key
    fingerprint = keys.fingerprint(given) if isinstance(given, str) else None
    if fingerprint is None:
        raise BadRequest("Keypair data is invalid")
    keypair = KeypairRow(name, given, fingerprint)
    if not await write(keypairs.add, scope, keypair):
        raise BadRequest(f"Key pair {name} already exists.")
    return Made(keypair, scope.user_id, private_key)
