"""Proof of who somebody is: by password, by access key, by a token (wire-notes 4.2, D73).

What is wrong is never said: an unknown name costs the same work, and gets the same answer, as a
wrong secret. Only who has proved who he is learns that he is disabled.
"""

import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from api.auth import refused
from api.database import read
from api.faults import Forbidden, NotSupported
from api.identity import passwords
from api.identity.callers import DISABLED, WRONG, holder_of
from db import log, sealing
from db.queries import access_keys, identity
from db.queries.access_keys import Login
from db.queries.identity import UserRow

MOST_NAME = 255  # characters of a user's or tenant's name
KEY_ID = re.compile(r"[A-Z0-9]{20}")
_logger = log.logger(__name__)


@dataclass(frozen=True, slots=True)
class Proven:
    """A user who has proved who he is. ``token``: by which, and how long it lasts still."""

    user: UserRow
    access_key_id: str | None = None
    token: str | None = None
    expires: datetime | None = None


async def by_password(name: str, password: str) -> Proven:
    """A user by name and password. Raises Unauthorized, Forbidden."""
    user = await read(identity.user_named, name) if len(name) <= MOST_NAME else None
    right = await passwords.matches(password, user.password_hash if user else None)
    if user is None or not right:
        raise refused(WRONG)
    return Proven(_enabled(user))


async def by_access_key(key_id: str, secret: str) -> Proven:
    """A user by an access key. Raises Unauthorized, Forbidden, NotSupported."""
    require_keys()
    return _by_login(key_id, secret, await _login(key_id))


async def by_either(name: str, secret: str) -> Proven:
    """A user by name and password, or by an access key whose id stands for the name (4.3)."""
    login = await _login(name) if sealing.ready() else None
    if login is not None:
        return _by_login(name, secret, login)
    return await by_password(name, secret)


async def by_token(token: str) -> Proven:
    """A user by a token. Raises Unauthorized, Forbidden."""
    holder = await holder_of(token)
    return Proven(holder.user, token=token, expires=holder.expires)


def require_keys() -> None:
    """Raises NotSupported where there are no access keys, and tells the operator why."""
    if not sealing.ready():
        _logger.error("access keys are off", hint=sealing.HINT)
        raise NotSupported("Access keys are not enabled on this service.")


async def _login(key_id: str) -> Login | None:
    return await read(access_keys.for_login, key_id) if KEY_ID.fullmatch(key_id) else None


def _by_login(key_id: str, secret: str, login: Login | None) -> Proven:
    sealed = _of_nobody() if login is None else login.secret
    stored = sealing.unseal(sealed)
    if stored is None:
        _logger.error("another secret_key has sealed this access key", access_key=key_id)
    right = hmac.compare_digest((stored or "").encode(), secret.encode())
    if login is None or stored is None or not right or not login.usable:
        raise refused(WRONG)
    return Proven(_enabled(login.user), access_key_id=key_id)


@lru_cache(maxsize=1)
def _of_nobody() -> bytes:
    return sealing.seal(access_keys.new_secret())


def _enabled(user: UserRow) -> UserRow:
    if not user.enabled:
        raise Forbidden(DISABLED)
    return user
