"""Finding, listing, renaming and deleting servers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import Connection

from api.database import read, write
from api.faults import BadRequest, InProgress, NotFound
from api.servers.create import name_in_use
from api.servers.fields import check_name
from api.wire.fields import as_id_or_uuid, path_id_or_uuid
from api.wire.pages import Page
from db.operations.errors import InProgress as Busy
from db.operations.queue import SCHEDULER, host_target
from db.queries import server_changes, server_lists, servers
from db.queries.server_lists import Wanted
from db.scope import Scope
from db.settings import settings
from scheduler.nudge import look, nudge

T = TypeVar("T")


def _marker(page: Page) -> int | str | None:
    """Marker as id or UUID (R48). Raises BadRequest for anything else."""
    if page.marker is None:
        return None
    marker = as_id_or_uuid(page.marker)
    if marker is None:
        raise page.lost
    return marker


async def list_brief(scope: Scope, wanted: Wanted, page: Page) -> list[server_lists.ServerBrief]:
    """A page of servers, newest first (R137). Raises BadRequest for a lost marker."""
    return await _list(server_lists.list_brief, scope, wanted, page)


async def list_detail(scope: Scope, wanted: Wanted, page: Page) -> list[servers.ServerDetail]:
    """The same, whole (R138)."""
    return await _list(server_lists.list_detail, scope, wanted, page)


async def _list(
    question: Callable[..., list[T] | None], scope: Scope, wanted: Wanted, page: Page
) -> list[T]:
    ask = read if wanted.name_expression is None else write  # whose time is bounded (D53)
    try:
        found = await ask(question, scope, wanted, marker=_marker(page), limit=page.limit)
    except server_lists.BadExpression:
        literal = replace(wanted, name_expression=None, name_prefix=wanted.name_expression)
        return await _list(question, scope, literal, page)
    except server_lists.CostlyExpression:
        raise BadRequest("Server name expression takes too long") from None
    if found is None:
        raise page.lost
    return found


async def find(scope: Scope, server_id: str) -> servers.ServerDetail | None:
    """A live server by id or UUID (R94); None for anything else (D66)."""
    which = as_id_or_uuid(server_id)
    return None if which is None else await read(servers.find, scope, which)


async def show(scope: Scope, server_id: str, unknown: str | None = None) -> servers.ServerDetail:
    """A live server. Raises NotFound, with the text ``unknown`` if given."""
    found = await find(scope, server_id)
    if found is None:
        raise NotFound(unknown)
    return found


async def rename(scope: Scope, server_id: str, body: dict[str, Any]) -> servers.ServerDetail:
    """Give a server the name of the body (R103-R105); other members are ignored (D67)."""
    found = await show(scope, server_id)
    name = check_name(body.get("name"))
    try:
        renamed = await write(server_changes.rename, scope, found.id, name)
    except server_changes.NameInUse:
        raise name_in_use(name) from None
    except Busy:
        raise InProgress("Cannot 'rename' while instance is in task_state deleting") from None
    if renamed is None:
        raise NotFound
    if renamed.host is not None:
        look(host_target(renamed.host))  # the guest sees the name in its metadata
    return renamed


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
