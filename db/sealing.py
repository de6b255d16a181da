"""Secrets that must be readable again, encrypted at rest with the setting ``secret_key``.

Passwords and tokens are hashed; the secret of an access key signs requests, so it is sealed instead
(security: standing rules). Another ``secret_key`` makes what was sealed before unreadable.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from db.settings import settings

#: What an operator should do where there is no key.
HINT = (
    "The setting secret_key is empty: give all API processes and this command the same random text"
    " of 32 characters or more"
)


class NoSecretKeyError(RuntimeError):
    """The setting ``secret_key`` is empty."""


def ready() -> bool:
    """Whether there is a key to seal with."""
    return bool(settings().secret_key)


def seal(secret: str) -> bytes:
    """A text, encrypted and authenticated. Raises NoSecretKeyError."""
    return _fernet().encrypt(secret.encode())


def unseal(sealed: bytes) -> str | None:
    """The text again; None when it was sealed with another key. Raises NoSecretKeyError."""
    try:
        return _fernet().decrypt(sealed).decode()
    except InvalidToken:
        return None


def _fernet() -> Fernet:
    if not ready():
        raise NoSecretKeyError(HINT)
    return _derived(settings().secret_key.get_secret_value())


@lru_cache(maxsize=1)
def _derived(secret_key: str) -> Fernet:
    derivation = HKDF(SHA256(), length=32, salt=None, info=b"undercast access keys")
    return Fernet(base64.urlsafe_b64encode(derivation.derive(secret_key.encode())))
