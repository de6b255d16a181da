"""Making, showing and ending access keys (wire-notes 4.2).

A user has to do with his own keys only. A token that a key made may take keys away, but neither
make, enable nor show one: else whoever found a key could outlast its end (security: row 24).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from api.database import read, write
from api.faults import BadRequest, Forbidden, InProgress, NotFound, OverLimit
from api.identity.access_keys import fields
from api.identity.credentials import KEY_ID, require_keys
from api.wire.body import MALFORMED
from db import sealing
from db.queries import access_keys
from db.queries.access_keys import AccessKeyRow, NewKey, TakenError, TooManyError
from db.queries.tokens import Holder


@dataclass(frozen=True, slots=True)
class Shown:
    """A key as its user sees it; ``secret`` None: not this time."""

    key: AccessKeyRow
    secret: str | None = None


async def list_of(holder: Holder, *, status: str | None, export: bool) -> list[Shown]:
    """The holder's keys, oldest first. ``export``: with their secrets."""
    _check_export(holder, export=export)
    keys = await read(access_keys.list_of, holder.user.id)
    return [_shown(key, export=export) for key in keys if status in (None, key.status)]


async def show(holder: Holder, key_id: str, *, export: bool) -> Shown:
    """One of the holder's keys. Raises NotFound."""
    _check_export(holder, export=export)
    return _shown(
        _found(await read(access_keys.find, holder.user.id, _known(key_id))), export=export
    )


async def create(holder: Holder, body: dict[str, Any]) -> Shown:
    """A new key, and the only time that its secret is shown unasked."""
    _check_giving(holder)
    check_own(holder, body.get("userId"))
    key, secret = fields.made(body)
    (row,) = await _add(holder, [key])
    return Shown(row, secret)


async def import_all(holder: Holder, body: dict[str, Any]) -> list[Shown]:
    """Keys that were made elsewhere become the holder's, all or none."""
    _check_giving(holder)
    given = body.get("accessKey")
    if not isinstance(given, list) or not given or not all(isinstance(key, dict) for key in given):
        raise BadRequest(MALFORMED)
    for key in given:
        check_own(holder, key.get("userId"))
    keys = [fields.imported(key) for key in given[: access_keys.MOST + 1]]
    return [Shown(row) for row in await _add(holder, keys)]


async def set_status(holder: Holder, key_id: str, body: dict[str, Any]) -> Shown:
    """Enable a key or disable it, which ends the tokens that it made. Raises NotFound."""
    if body.get("status") is None:
        raise BadRequest(MALFORMED)
    wanted = fields.status(body)
    if wanted == "active":
        _check_giving(holder)
    user_id, key_id = holder.user.id, _known(key_id)
    return Shown(_found(await write(access_keys.set_status, user_id, key_id, wanted)))


async def delete(holder: Holder, key_id: str) -> None:
    """Forget a key; the tokens that it made end. Raises NotFound."""
    if not await write(access_keys.remove, holder.user.id, _known(key_id)):
        raise NotFound


def check_own(holder: Holder, user_id: Any) -> None:
    """Raises Forbidden for another user's id; none is the holder's."""
    if user_id not in (None, "", holder.user.id):
        raise Forbidden("Access keys of another user are not yours to see or change.")


async def _add(holder: Holder, keys: Sequence[NewKey]) -> list[AccessKeyRow]:
    try:
        return await write(access_keys.add, holder.user.id, keys)
    except TooManyError:
        raise OverLimit(
            f"Access key quota exceeded. A user has at most {access_keys.MOST} access keys."
        ) from None
    except TakenError as error:
        raise InProgress(f"Access key {error} already exists.") from None


def _check_giving(holder: Holder) -> None:
    """Raises Forbidden for a token that a key made, and NotSupported where there are no keys."""
    if holder.access_key_id is not None:
        raise Forbidden("A token made by an access key cannot make, enable or show access keys.")
    require_keys()


def _check_export(holder: Holder, *, export: bool) -> None:
    if export:
        _check_giving(holder)


def _known(key_id: str) -> str:
    if not KEY_ID.fullmatch(key_id):
        raise NotFound
    return key_id


def _found(row: AccessKeyRow | None) -> AccessKeyRow:
    if row is None:
        raise NotFound
    return row


def _shown(key: AccessKeyRow, *, export: bool) -> Shown:
    return Shown(key, sealing.unseal(key.secret) if export else None)
