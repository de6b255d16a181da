"""Access keys: a user's credentials for programs (wire-notes 4.2).

Secrets come and go sealed. A key ends its tokens when it is deleted, by the foreign key, and when
it becomes inactive, here: they do not come back with it (security: row 24).
"""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from db.queries.identity import UserRow

ALGORITHM = "HmacSHA1"
BITS = 240  # of a secret, when nothing else is asked
MOST = 100  # keys of a user

_ALPHABET = string.ascii_uppercase + string.digits
_STATUS = "CASE WHEN k.valid_to <= clock_timestamp() THEN 'expired' ELSE k.status END"
_COLUMNS = f"""
    k.id, k.user_id, k.secret, k.algorithm, k.key_length, {_STATUS} AS status, k.valid_from,
    k.valid_to, k.created_at
"""
_LIST = text(f"""
    SELECT {_COLUMNS} FROM access_keys k WHERE k.user_id = :user_id ORDER BY k.created_at, k.id
""")
_FIND = text(f"SELECT {_COLUMNS} FROM access_keys k WHERE k.user_id = :user_id AND k.id = :id")
_FOR_LOGIN = text("""
    SELECT k.secret, k.status = 'active' AND k.valid_from <= clock_timestamp()
               AND coalesce(k.valid_to > clock_timestamp(), true),
           u.id, u.name, u.password_hash, u.enabled
    FROM access_keys k JOIN users u ON u.id = k.user_id WHERE k.id = :id
""")
_LOCK_OWNER = text("SELECT 1 FROM users WHERE id = :user_id FOR NO KEY UPDATE")
_COUNT = text("SELECT count(*) FROM access_keys WHERE user_id = :user_id")
_INSERT = text("""
    INSERT INTO access_keys (id, user_id, secret, algorithm, key_length, status, valid_from,
                             valid_to)
    SELECT :id, :user_id, :secret, :algorithm, :key_length, :status, v.begin,
           coalesce(:valid_to, v.begin + interval '3650 days')
    FROM (SELECT coalesce(:valid_from, date_trunc('second', clock_timestamp())) AS begin) v
    ON CONFLICT DO NOTHING RETURNING 1
""")
_SET_STATUS = text("""
    UPDATE access_keys SET status = :status WHERE user_id = :user_id AND id = :id RETURNING 1
""")
_END_TOKENS = text("DELETE FROM tokens WHERE access_key_id = :id")
_REMOVE = text("DELETE FROM access_keys WHERE user_id = :user_id AND id = :id RETURNING 1")


class TooManyError(Exception):
    """The user would have more than MOST keys."""


class TakenError(Exception):
    """There is a key of that id already; its text is the id."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to keep. Times None: from now on, and for ten years."""

    id: str
    secret: bytes
    algorithm: str = ALGORITHM
    key_length: int = BITS
    status: str = "active"
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccessKeyRow:
    """A key; ``secret`` is sealed, ``status`` is active, inactive or expired."""

    id: str
    user_id: str
    secret: bytes
    algorithm: str
    key_length: int
    status: str
    valid_from: datetime
    valid_to: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Login:
    """What a login by a key is decided by; ``usable``: active, and in its time."""

    secret: bytes
    usable: bool
    user: UserRow


def new_id() -> str:
    """A random id of 20 letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(20))


def new_secret(bits: int = BITS) -> str:
    """A random secret of at least so many bits, as text."""
    return base64.b64encode(secrets.token_bytes((bits + 7) // 8)).decode().rstrip("=")


def list_of(conn: Connection, user_id: str) -> list[AccessKeyRow]:
    """The keys of a user, oldest first."""
    return [AccessKeyRow(*row) for row in conn.execute(_LIST, {"user_id": user_id})]


def find(conn: Connection, user_id: str, id: str) -> AccessKeyRow | None:
    """A key of a user."""
    row = conn.execute(_FIND, {"user_id": user_id, "id": id}).first()
    return None if row is None else AccessKeyRow(*row)


def for_login(conn: Connection, id: str) -> Login | None:
    """A key and its user, whether they are usable or not."""
    row = conn.execute(_FOR_LOGIN, {"id": id}).first()
    return None if row is None else Login(row[0], row[1], UserRow(*row[2:]))


def add(conn: Connection, user_id: str, keys: Sequence[NewKey]) -> list[AccessKeyRow]:
    """Keep keys of a user, all or none. Raises TakenError, TooManyError."""
    conn.execute(_LOCK_OWNER, {"user_id": user_id})
    if conn.execute(_COUNT, {"user_id": user_id}).scalar_one() + len(keys) > MOST:
        raise TooManyError
    for key in sorted(keys, key=lambda key: key.id):  # two imports never wait in a ring
        values = {
            "id": key.id, "user_id": user_id, "secret": key.secret, "algorithm": key.algorithm,
            "key_length": key.key_length, "status": key.status, "valid_from": key.valid_from,
            "valid_to": key.valid_to,
        }  # fmt: skip
        if conn.execute(_INSERT, values).first() is None:
            raise TakenError(key.id)
    made = {row.id: row for row in list_of(conn, user_id)}
    return [made[key.id] for key in keys]


def set_status(conn: Connection, user_id: str, id: str, status: str) -> AccessKeyRow | None:
    """Make a key active or inactive, which ends its tokens; None when there is none such."""
    values = {"user_id": user_id, "id": id, "status": status}
    if conn.execute(_SET_STATUS, values).first() is None:
        return None
    if status == "inactive":
        conn.execute(_END_TOKENS, {"id": id})
    return find(conn, user_id, id)


def remove(conn: Connection, user_id: str, id: str) -> bool:
    """Forget a key and all its tokens; False when there is none such."""
    return conn.execute(_REMOVE, {"user_id": user_id, "id": id}).first() is not None
