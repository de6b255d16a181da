"""Keypairs of a user in a tenant and zone (R230-R236, D65)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from db.scope import Scope

_OWNED = "zone_id = :zone_id AND tenant_id = :tenant_id AND user_id = :user_id"
_LIST = text(f"""
    SELECT name, public_key, fingerprint FROM keypairs WHERE {_OWNED}
    ORDER BY name COLLATE "C"
""")
# The earliest of the names that is there: a name that looks like one with a suffix (D24).
_NAMED = f"{_OWNED} AND name = ANY(:names)"
_FIRST = "ORDER BY array_position(CAST(:names AS text[]), name) LIMIT 1"
_FIND = text(f"""
    SELECT name, public_key, fingerprint FROM keypairs WHERE {_NAMED} {_FIRST}
""")
_ADD = text("""
    INSERT INTO keypairs (zone_id, tenant_id, user_id, name, public_key, fingerprint)
    VALUES (:zone_id, :tenant_id, :user_id, :name, :public_key, :fingerprint)
    ON CONFLICT DO NOTHING RETURNING id
""")
_REMOVE = text(f"""
    DELETE FROM keypairs WHERE id = (SELECT id FROM keypairs WHERE {_NAMED} {_FIRST})
    RETURNING id
""")


@dataclass(frozen=True, slots=True)
class KeypairRow:
    """Public half of a keypair."""

    name: str
    public_key: str
    fingerprint: str


def _values(scope: Scope) -> dict[str, Any]:
    return {"zone_id": scope.zone_id, "tenant_id": scope.tenant_id, "user_id": scope.user_id}


def list_all(conn: Connection, scope: Scope) -> list[KeypairRow]:
    """All keypairs of the user, by name (D68)."""
    return [KeypairRow(*row) for row in conn.execute(_LIST, _values(scope))]


def find(conn: Connection, scope: Scope, names: Sequence[str]) -> KeypairRow | None:
    """The keypair of the first of ``names`` that exists; None when none does."""
    row = conn.execute(_FIND, {**_values(scope), "names": list(names)}).first()
    return None if row is None else KeypairRow(*row)


def add(conn: Connection, scope: Scope, keypair: KeypairRow) -> bool:
    """Keep a keypair. False when the user has one of that name already (R236)."""
    values = {
        **_values(scope),
        "name": keypair.name,
        "public_key": keypair.public_key,
        "fingerprint": keypair.fingerprint,
    }
    return conn.execute(_ADD, values).first() is not None


def remove(conn: Connection, scope: Scope, names: Sequence[str]) -> bool:
    """Forget the keypair of the first of ``names`` that exists. False when none does."""
    return conn.execute(_REMOVE, {**_values(scope), "names": list(names)}).first() is not None
