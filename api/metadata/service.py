"""What can be asked of the metadata of a server or of an image, told apart by a :class:`Noun`.

Items are shown as the owner's own view shows them. Every change is one transaction: touch the
owner, which locks it, write, and count; a refusal undoes all (R176).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from api.database import read, write
from api.faults import BadRequest, Forbidden, InProgress, NotFound
from api.images.service import NOT_YOURS
from api.images.service import UNKNOWN as UNKNOWN_IMAGE
from api.images.views import shown_metadata
from api.metadata.fields import check_count, check_metadata
from api.wire.body import MALFORMED
from api.wire.fields import as_id, as_id_or_uuid
from db import quota
from db.operations.errors import InProgress as Busy
from db.operations.queue import host_target
from db.queries import images, metadata, servers
from db.queries.image_changes import PublicImage
from db.scope import Scope
from scheduler.nudge import look

UNKNOWN_SERVER = "Server does not exist"
UNKNOWN_ITEM = "Metadata item was not found"
MISMATCH = "Request body and URI mismatch"
TOO_MANY = "Request body contains too many items"
READ_ONLY = "Metadata items of the system cannot be deleted."
DELETING = "Cannot 'metadata' while instance is in task_state deleting"

Which = int | str
Shown = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Noun:
    """Whose metadata. ``malformed``: text for a body of another root."""

    collection: str
    unknown: str
    malformed: str
    named: Callable[[str], Which | None]  # what a path means
    shown: Callable[[Connection, Scope, Which], Shown | None]
    touch: Callable[[Connection, Scope, Which], metadata.Owner | None]
    items: metadata.Items


def _of_server(conn: Connection, scope: Scope, which: Which) -> Shown | None:
    found = servers.find(conn, scope, which)
    return None if found is None else found.metadata or {}


def _of_image(conn: Connection, scope: Scope, which: Which) -> Shown | None:
    found = images.find(conn, scope, int(which))
    return None if found is None else shown_metadata(found)


SERVERS = Noun(
    "servers", UNKNOWN_SERVER, MALFORMED, as_id_or_uuid, _of_server, metadata.touch_server,
    metadata.OF_SERVERS,
)  # fmt: skip
IMAGES = Noun(
    "images", UNKNOWN_IMAGE, "Incorrect request body format", as_id, _of_image,
    metadata.touch_image, metadata.OF_IMAGES,
)  # fmt: skip


async def show(scope: Scope, noun: Noun, name: str) -> Shown:
    """All items (R173). Raises NotFound."""
    which = noun.named(name)
    found = None if which is None else await read(noun.shown, scope, which)
    if found is None:
        raise NotFound(noun.unknown)
    return found


async def show_item(scope: Scope, noun: Noun, name: str, keys: Sequence[str]) -> tuple[str, Any]:
    """The first of ``keys`` that there is (D24), and its value (R177). Raises NotFound."""
    shown = await show(scope, noun, name)
    key = _first(keys, shown)
    return key, shown[key]


async def merge(scope: Scope, noun: Noun, name: str, body: Mapping[str, Any]) -> Shown:
    """Add and replace the items of a body (R174); all items then (D54)."""
    return await _write(scope, noun, name, body, metadata.merge)


async def replace(scope: Scope, noun: Noun, name: str, body: Mapping[str, Any]) -> Shown:
    """Replace all of the client's items by those of a body (R175); all items then."""
    return await _write(scope, noun, name, body, metadata.replace)


async def set_item(
    scope: Scope, noun: Noun, name: str, keys: Sequence[str], body: Mapping[str, Any]
) -> tuple[str, Any]:
    """Write the one item of a body, whose key is among those that the path may mean (R178, R179).

    Its key and its value then: an item of the system keeps its own (D43e).
    """
    key = next((key for key in keys if key in body), None)
    if key is None:
        raise BadRequest(MISMATCH)
    if len(body) > 1:
        raise BadRequest(TOO_MANY)
    return key, (await merge(scope, noun, name, body)).get(key)


async def delete_item(scope: Scope, noun: Noun, name: str, keys: Sequence[str]) -> None:
    """Delete the first of ``keys`` that there is (R180). Raises NotFound, and Forbidden (D43e)."""

    def act(conn: Connection, owner: metadata.Owner) -> None:
        key = _first(keys, noun.shown(conn, scope, owner.id) or {})
        if not metadata.remove(conn, noun.items, owner, key):
            raise Forbidden(READ_ONLY)

    await _change(scope, noun, name, act)


def _first(keys: Sequence[str], shown: Shown) -> str:
    for key in keys:
        if key in shown:
            return key
    raise NotFound(UNKNOWN_ITEM)


async def _write(
    scope: Scope, noun: Noun, name: str, body: Mapping[str, Any],
    how: Callable[[Connection, metadata.Items, metadata.Owner, Mapping[str, str]], None],
) -> Shown:  # fmt: skip
    items = check_metadata(body, scope.tenant_id)

    def act(conn: Connection, owner: metadata.Owner) -> None:
        how(conn, noun.items, owner, items)
        limit = quota.limits(conn, scope.tenant_id, scope.zone_id)["metadata_items"]
        check_count(metadata.keys(conn, noun.items, owner), limit, scope.tenant_id)

    return await _change(scope, noun, name, act)


async def _change(
    scope: Scope, noun: Noun, name: str, act: Callable[[Connection, metadata.Owner], None]
) -> Shown:
    """Change the items of an owner that is the tenant's, and tell its host; all items then.

    Raises NotFound, Forbidden for a public image (D45), and InProgress for a server that is being
    deleted (wire-notes 8.4).
    """

    def transaction(conn: Connection, which: Which) -> tuple[Shown, str | None]:
        owner = noun.touch(conn, scope, which)
        if owner is None:
            raise NotFound(noun.unknown)
        act(conn, owner)
        return noun.shown(conn, scope, owner.id) or {}, owner.host

    which = noun.named(name)
    if which is None:
        raise NotFound(noun.unknown)
    try:
        shown, host = await write(transaction, which)
    except PublicImage:
        raise Forbidden(NOT_YOURS) from None
    except Busy:
        raise InProgress(DELETING) from None
    if host is not None:
        look(host_target(host))
    return shown
