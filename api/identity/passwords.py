"""Passwords at the API: compared in threads of their own, never on the event loop.

An unknown user costs the same work as a known one, so that names cannot be told by time; what is
too long is refused before any work (security: row 29).
"""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from db.passwords import LONGEST, hash_password, verify_password

_threads = ThreadPoolExecutor(2, "argon2")  # bounds memory too: 64 MiB each


@lru_cache(maxsize=1)
def _of_nobody() -> str:
    return hash_password(secrets.token_hex(16))


def _matches(password: str, password_hash: str | None) -> bool:
    right = verify_password(_of_nobody() if password_hash is None else password_hash, password)
    return right and password_hash is not None


async def matches(password: str, password_hash: str | None) -> bool:
    """Whether a password is the one stored; None: there is no such user, which takes as long."""
    if not 0 < len(password.encode()) <= LONGEST:
        return False
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, _matches, password, password_hash)
