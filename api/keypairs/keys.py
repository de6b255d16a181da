"""SSH keys: reading what clients import, making new ones (R230, R235, D46)."""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_public_key,
)

MOST_BYTES = 16384
RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class NewKey:
    """A pair that was made: the OpenSSH line, and the private half in PEM PKCS#1."""

    public_key: str
    private_key: str


def fingerprint(public_key: str) -> str | None:
    """MD5 of the key's blob in hex pairs (R235); None when the text is no OpenSSH public key."""
    line = public_key.strip()
    if len(public_key.encode()) > MOST_BYTES or not line.isprintable():
        return None
    try:
        load_ssh_public_key(line.encode())
        blob = base64.b64decode(line.split(None, 2)[1], validate=True)
    except (ValueError, UnsupportedAlgorithm, binascii.Error):
        return None
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def generate() -> NewKey:
    """Make a pair; takes a tenth of a second of a processor."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return NewKey(public.decode() + "\n", private.decode())
