"""Hashes of users' passwords: argon2id with the library's recommended costs (RFC 9106)."""

from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: Bytes of a password in UTF-8; hashing longer ones would only cost time (OSSA-2012-002).
LONGEST = 1024


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    return PasswordHasher()


def hash_password(password: str) -> str:
    """Hash with salt and costs. Raises ValueError for an empty or too long password."""
    if not password:
        raise ValueError("A password cannot be empty.")
    if len(password.encode()) > LONGEST:
        raise ValueError(f"A password has at most {LONGEST} bytes.")
    return _hasher().hash(password)


def verify_password(password_hash: str, password: str) -> bool:
    """Whether ``password`` is the one that was hashed; too long a one is not even tried."""
    try:
        secret = password.encode()
        return len(secret) <= LONGEST and _hasher().verify(password_hash, secret)
    except (UnicodeEncodeError, VerificationError, InvalidHashError):
        return False
