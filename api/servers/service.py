"""Finding, listing, renaming and deleting servers."""

from typing import Any

from sqlalchemy import Connection

from api.database import read, write
from api.faults import InProgress, NotFound
from api.servers.create import name_in_use
from api.servers.fields import check_name
from api.wire.fields import as_id_or_uuid, path_id_or_uuid
from api.wire.pages import Page
from db.operations.errors import InProgress as Busy
from db.operations.queue import SCHEDULER
from db.queries import server_changes, servers
from db.scope import Scope
from db.settings import settings
from scheduler.nudge import nudge


def _marker(page: Page) -> int | str | None:
    """Marker as id or UUID (R48). Raises BadRequest for anything else."""
    if page.marker is None:
        return None
    marker = as_id_or_uuid(page.marker)
    if marker is None:
        raise page.lost
    return marker


async def list_brief(scope: Scope, page: Page) -> list[servers.ServerBrief]:
    """A page of the tenant's servers, newest first (R137). Raises BadRequest for a lost marker."""
    found = await read(servers.list_brief, scope, marker=_marker(page), limit=page.limit)
    if found is None:
        raise page.lost
    return found


async def list_detail(scope: Scope, page: Page) -> list[servers.ServerDetail]:
    """The same, whole (R138)."""
    found = await read(servers.list_detail, scope, marker=_marker(page), limit=page.limit)
    if found is None:
        raise page.lost
    return found


async def show(scope: Scope, server_id: str, unknown: str | None = None) -> servers.ServerDetail:
    """A live server by id or UUID (R94). Raises NotFound, with the text ``unknown`` if given."""
    found = await read(servers.find, scope, path_id_or_uuid(server_id))
    if found is None:
        raise NotFound(unknown)
    return found


async def rename(scope: Scope, server_id: str, body: dict[str, Any]) -> servers.ServerDetail:
    """Give a server the name of the body (R103-R105); other members are ignored (D67)."""
    which = path_id_or_uuid(server_id)
    if await read(servers.find, scope, which) is None:
        raise NotFound
    name = check_name(body.get("name"))
    try:
        renamed = await write(_rename, scope, which, name)
    except server_changes.NameInUse:
        raise name_in_use(name) from None
    except Busy:
        raise InProgress("Cannot 'rename' while instance is in task_state deleting") from None
    if renamed is None:
        raise NotFound
    return renamed


def _rename(
    conn: Connection, scope: Scope, which: int | str, name: str
) -> servers.ServerDetail | None:
    found = servers.find(conn, scope, which)
    return None if found is None else server_changes.rename(conn, scope, found.id, name)


async def delete(scope: Scope, server_id: str) -> None:
    """Accept a server's deletion, whatever its state (D60). Raises NotFound when it is gone."""
    found, operation_id = await write(_delete, scope, path_id_or_uuid(server_id))
    if not found:
        raise NotFound
    if operation_id is not None:
        nudge(SCHEDULER, operation_id)


def _delete(conn: Connection, scope: Scope, which: int | str) -> tuple[bool, int | None]:
    """Whether the server was there, and the operation to nudge, unless one ran already."""
    found = servers.find(conn, scope, which)
    if found is None:
        return False, None
    silent = settings().silent_seconds
    return True, server_changes.request_delete(conn, scope, found.id, silent_seconds=silent)
