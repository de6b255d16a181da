"""Passwords: argon2 in threads of their own, never on the event loop.

An unknown user costs the same work as a known one, so that names cannot be told by time; what is
too long is refused before any work (security: row 29).
"""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MOST_CHARACTERS = 1024
_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(2, "argon2")  # bounds memory too: 64 MiB each


@lru_cache(maxsize=1)
def _of_nobody() -> str:
    return _hasher.hash(secrets.token_hex(16))


def hash_password(password: str) -> str:
    """What is stored of a password. Takes a tenth of a second. Raises ValueError when too long."""
    if not 0 < len(password) <= MOST_CHARACTERS:
        raise ValueError(f"a password has 1 to {MOST_CHARACTERS} characters")
    return _hasher.hash(password)


def _matches(password: str, password_hash: str | None) -> bool:
    stored = _of_nobody() if password_hash is None else password_hash
    try:
        return _hasher.verify(stored, password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


async def matches(password: str, password_hash: str | None) -> bool:
    """Whether a password is the one stored; None: there is no such user, which takes as long."""
    if not 0 < len(password) <= MOST_CHARACTERS:
        return False
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, _matches, password, password_hash)
