"""Reboot, rebuild and image of a server (R147-R155, R161, D35-D37, D39)."""

from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Authorized
from api.database import write
from api.faults import BadRequest, Fault, InProgress, NotFound, OverLimit
from api.metadata.fields import check_metadata
from api.servers.create import check_limits, name_in_use, new_password
from api.servers.fields import check_name, check_personality
from api.servers.views import ServerView
from api.wire.body import MALFORMED
from api.wire.fields import reference
from api.wire.render import render
from api.wire.view import One
from db import quota
from db.queries import server_actions, server_changes, servers
from db.queries.metadata import OF_IMAGES, Owner, keys
from db.queries.server_actions import NewSnapshot, NotNow, Rebuild, Requested, RequestedSnapshot
from db.queries.server_changes import NotAdmitted
from db.queries.servers import ServerDetail
from db.scope import Scope
from db.settings import settings
from scheduler.nudge import nudge

MOST_NAME = 255  # characters of an image's name


def as_map(value: Any) -> dict[str, Any]:
    """The value of an action that takes members. Raises BadRequest for another."""
    if not isinstance(value, dict):
        raise BadRequest(MALFORMED)
    return value


async def reboot(
    caller: Authorized, server: ServerDetail, value: Any, request: Request
) -> Response:
    """Power-cycle a server, whatever the type (R147-R149, D39)."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind is None:
        raise BadRequest("Missing argument 'type' for reboot")
    if not isinstance(kind, str) or kind.strip().upper() not in ("SOFT", "HARD"):
        raise BadRequest("Argument 'type' for reboot is not HARD or SOFT")
    try:
        requested = await write(
            server_actions.request_reboot, caller.scope, server.id,
            deadline_seconds=settings().action_deadline_seconds,
        )  # fmt: skip
    except NotNow as refusal:
        raise not_now(refusal) from None
    _go(requested)
    return render(request, status=202)


async def rebuild(
    caller: Authorized, server: ServerDetail, value: Any, request: Request
) -> Response:
    """Start a server anew from an image; the answer shows it, with a password (R150-R153, D36)."""
    wanted = _rebuild(as_map(value), caller.scope.tenant_id)
    try:
        requested, shown = await write(_request_rebuild, caller.scope, server.id, wanted)
    except NotNow as refusal:
        raise not_now(refusal) from None
    except NotAdmitted as refusal:
        raise _refusal(refusal) from None
    _go(requested)
    return render(
        request,
        One("server", ServerView(shown, caller.links, new_password())),
        202,
        {"Location": caller.links.url("servers", server.id)},
    )


async def create_image(
    caller: Authorized, server: ServerDetail, value: Any, request: Request
) -> Response:
    """Make an image of a server, which is there at once, as SAVING (R161, D35, D37, D88)."""
    body = as_map(value)
    new = NewSnapshot(
        name=_image_name(body.get("name")),
        base_url=caller.links.base,
        metadata=check_metadata(body.get("metadata"), caller.scope.tenant_id),
    )
    try:
        requested = await write(_request_image, caller.scope, server.id, new)
    except NotNow as refusal:
        raise not_now(refusal) from None
    _go(requested)
    location = caller.links.url("images", requested.image_id)
    return render(request, status=202, headers={"Location": location})


def not_now(refusal: NotNow) -> InProgress:
    """The fault of a state that does not allow an action (R155, wire-notes 8.4)."""
    return InProgress(f"Cannot '{refusal.action}' while instance is in {refusal.because}")


def _go(requested: Requested | None) -> None:
    """Nudge who is to do it. Raises NotFound when the server went away meanwhile."""
    if requested is None:
        raise NotFound
    nudge(requested.target, requested.operation_id)


def _rebuild(body: dict[str, Any], tenant_id: str) -> Rebuild:
    """What the body asks for; null is as if not given (D84)."""
    image = body.get("imageRef")
    if isinstance(image, bool) or not isinstance(image, int | str) or image == "":
        raise BadRequest("Could not parse imageRef from request.")
    found = reference(image)
    name, metadata, files = (body.get(key) for key in ("name", "metadata", "personality"))
    return Rebuild(
        image_id=-1 if found is None else found,
        name=None if name is None else check_name(name),
        metadata=None if metadata is None else check_metadata(metadata, tenant_id),
        files=None if files is None else check_personality(files),
    )


def _request_rebuild(
    conn: Connection, scope: Scope, server_id: int, wanted: Rebuild
) -> tuple[Requested, ServerDetail]:
    """The transaction, and the server as it is then."""
    check_limits(conn, scope, wanted.metadata or {}, wanted.files or ())
    requested = server_actions.request_rebuild(
        conn, scope, server_id, wanted, deadline_seconds=settings().action_deadline_seconds
    )
    shown = servers.find(conn, scope, server_id)
    if requested is None or shown is None:
        raise NotFound
    return requested, shown


# Texts of refusals that are a 400.
_REFUSALS: dict[type[NotAdmitted], str] = {
    server_changes.UnknownImage: "Cannot find image for rebuild",
    server_changes.ImageNotActive: "Cannot find image for rebuild: Image is not active.",
    server_changes.FlavorTooSmall: "Instance type's {} is too small for requested image.",
    server_actions.LicensedImage: "A server of a licensed image can be rebuilt from it only.",
}


def _refusal(refusal: NotAdmitted) -> Fault:
    if isinstance(refusal, server_changes.NameInUse):
        return name_in_use(str(refusal))
    if isinstance(refusal, server_actions.NoRoom):
        return InProgress(f"The server needs {refusal} GB of disk, which its host does not have.")
    return BadRequest(_REFUSALS[type(refusal)].format(refusal))


def _image_name(value: Any) -> str:
    """Name of an image to be made, trimmed."""
    if value is None or (isinstance(value, str) and not value.strip()):
        raise BadRequest("createImage entity requires name attribute")
    if not isinstance(value, str):
        raise BadRequest("Image name is not a string or unicode")
    name = value.strip()
    if len(name) > MOST_NAME:
        raise BadRequest("Image name must be less than 256 characters.")
    return name


def _request_image(
    conn: Connection, scope: Scope, server_id: int, new: NewSnapshot
) -> RequestedSnapshot:
    """The transaction. Items that are not the client's do not count (D43e)."""
    requested = server_actions.request_create_image(
        conn, scope, server_id, new, deadline_seconds=settings().snapshot_deadline_seconds
    )
    if requested is None:
        raise NotFound
    most = quota.limits(conn, scope.tenant_id, scope.zone_id)["metadata_items"]
    items = keys(conn, OF_IMAGES, Owner(requested.image_id))
    if 0 <= most < len(items):
        raise OverLimit("Image metadata limit exceeded")
    return requested
