"""Metadata of servers and of images: the same questions of two pairs of tables (R173-R181).

Who changes items touches their owner first, which locks it until the transaction ends: so that
limits hold when several change it at once, and so that a refusal after it undoes all.

Some items of an image are not the client's (D43e): those marked ``system``, and those that the
image's own record says. They are passed over here, whatever is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, TextClause, text

from db.operations.errors import InProgress
from db.queries import images
from db.queries.image_changes import PublicImage
from db.scope import Scope


@dataclass(frozen=True, slots=True)
class Items:
    """Where items are. ``reserved``: keys that are never a client's."""

    add: TextClause
    drop: TextClause
    remove: TextClause
    keys: TextClause
    reserved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Owner:
    """A server or image whose items are ours to change; ``host``: name of the server's, if any."""

    id: int
    host: str | None = None


def _items(table: str, owner: str, mine: str, reserved: tuple[str, ...] = ()) -> Items:
    """``mine``: the condition that an item is the client's."""
    clients = f"{owner} = :id AND {mine} AND {table}.key <> ALL(CAST(:reserved AS text[]))"
    add = f"""
        INSERT INTO {table} ({owner}, key, value)
        SELECT :id, m.key, m.value
        FROM unnest(CAST(:keys AS text[]), CAST(:values AS text[])) AS m (key, value)
        WHERE m.key <> ALL(CAST(:reserved AS text[]))
        ON CONFLICT ({owner}, key) DO UPDATE SET value = excluded.value WHERE {mine}
    """
    return Items(
        add=text(add),
        drop=text(f"DELETE FROM {table} WHERE {clients}"),
        remove=text(f"DELETE FROM {table} WHERE {clients} AND key = :key"),
        keys=text(f"SELECT key FROM {table} WHERE {clients} ORDER BY key"),
        reserved=reserved,
    )


OF_SERVERS = _items("server_metadata", "server_id", "true")
OF_IMAGES = _items("image_metadata", "image_id", "NOT image_metadata.system", images.RECORD_KEYS)

_TOUCH_SERVER = text("""
    UPDATE servers s SET generation = generation + 1, updated_at = clock_timestamp()
    WHERE s.tenant_id = :tenant_id AND s.zone_id = :zone_id AND s.deleted_at IS NULL
      AND (s.id = :id OR s.uuid = CAST(:uuid AS uuid))
    RETURNING s.id, s.task_state, (SELECT h.name FROM hosts h WHERE h.id = s.host_id) AS host
""")
_TOUCH_IMAGE = text("""
    UPDATE images SET updated_at = clock_timestamp()
    WHERE tenant_id = :tenant_id AND zone_id = :zone_id AND deleted_at IS NULL AND id = :id
    RETURNING id
""")


def touch_server(conn: Connection, scope: Scope, server_id: int | str) -> Owner | None:
    """A live server by id or UUID; None when there is none such. Raises InProgress."""
    by_id = isinstance(server_id, int)
    ids = {"id": server_id if by_id else None, "uuid": None if by_id else server_id}
    row = conn.execute(_TOUCH_SERVER, {**_values(scope), **ids}).first()
    if row is None:
        return None
    if row.task_state == "deleting":
        raise InProgress(f"server {row.id} is being deleted")
    return Owner(row.id, row.host)


def touch_image(conn: Connection, scope: Scope, image_id: int | str) -> Owner | None:
    """An image of the tenant; None when there is none such. Raises PublicImage (D45)."""
    if not isinstance(image_id, int):
        return None
    if conn.execute(_TOUCH_IMAGE, {**_values(scope), "id": image_id}).first() is None:
        if images.find(conn, scope, image_id) is not None:
            raise PublicImage(image_id)
        return None
    return Owner(image_id)


def merge(conn: Connection, of: Items, owner: Owner, items: Mapping[str, str]) -> None:
    """The owner has these items beside its others (R174)."""
    values = {"keys": list(items), "values": list(items.values()), "reserved": list(of.reserved)}
    conn.execute(of.add, {"id": owner.id, **values})


def replace(conn: Connection, of: Items, owner: Owner, items: Mapping[str, str]) -> None:
    """The owner has these items, and no others of the client's (R175)."""
    conn.execute(of.drop, {"id": owner.id, "reserved": list(of.reserved)})
    merge(conn, of, owner, items)


def remove(conn: Connection, of: Items, owner: Owner, key: str) -> bool:
    """The owner has no such item (R180). False when there is none that is the client's."""
    values = {"id": owner.id, "key": key, "reserved": list(of.reserved)}
    return bool(conn.execute(of.remove, values).rowcount)


def keys(conn: Connection, of: Items, owner: Owner) -> list[str]:
    """Keys of the client's items: those that a limit counts (R58)."""
    values = {"id": owner.id, "reserved": list(of.reserved)}
    return list(conn.execute(of.keys, values).scalars())


def _values(scope: Scope) -> dict[str, Any]:
    return {"tenant_id": scope.tenant_id, "zone_id": scope.zone_id}
