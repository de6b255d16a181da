"""Who asks the identity service: whose the token in X-Auth-Token is, whatever its scope."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from api.auth import hash_token, refused
from api.database import read
from api.faults import Forbidden
from db.queries import tokens
from db.queries.tokens import Holder
from db.settings import settings

WRONG = "Invalid credentials"
DISABLED = "User is disabled"


async def holder_of(token: str) -> Holder:
    """Holder of a token. Raises Unauthorized, and Forbidden when the user is disabled."""
    token_hash = hash_token(token)
    if token_hash is None:
        raise refused(WRONG)
    found = await read(tokens.holder, token_hash=token_hash, admin_role=settings().admin_role)
    if found is None:
        raise refused(WRONG)
    if not found.user.enabled:
        raise Forbidden(DISABLED)
    return found


async def holder(request: Request) -> Holder:
    """Holder of the token of a request."""
    return await holder_of(request.headers.get("x-auth-token", ""))


TokenHolder = Annotated[Holder, Depends(holder)]
