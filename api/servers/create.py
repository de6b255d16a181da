"""Creating servers (R96-R136): the body is checked for form first, then against the records."""

import secrets
import string
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from api.auth import Authorized
from api.database import write
from api.faults import BadRequest, Fault, InProgress
from api.metadata.fields import check_count, check_metadata
from api.servers import fields
from api.wire.fields import reference
from db import quota
from db.operations.queue import SCHEDULER
from db.queries import server_changes, servers
from db.queries.server_changes import NewServers, NotAdmitted
from db.queries.server_files import Files
from db.scope import Scope
from db.settings import settings
from scheduler.nudge import nudge

_PASSWORD_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Created:
    """The first server of a call, as just created, and its password (R133), which is not kept."""

    server: servers.ServerDetail
    admin_pass: str


async def create(caller: Authorized, body: dict[str, Any]) -> Created:
    """Create the servers that a body asks for; the first of them.

    Raises a Fault when the body is wrong, names what is not there, or is over a limit; then nothing
    was created (R124).
    """
    new = _read(caller, body)
    try:
        server, operations = await write(_create, caller.scope, new)
    except NotAdmitted as refusal:
        raise _fault(refusal, caller, body) from None
    except quota.QuotaExceeded as refusal:
        raise fields.quota_fault(refusal.room) from None
    for operation_id in operations:
        nudge(SCHEDULER, operation_id)
    return Created(server, new_password())


def new_password() -> str:
    """A password for an answer (R133, D18)."""
    return "".join(secrets.choice(_PASSWORD_LETTERS) for _ in range(16))


def _read(caller: Authorized, body: dict[str, Any]) -> NewServers:
    """What the body asks for. Members that mean nothing here are not looked at (D49)."""
    name = fields.check_name(body.get("name"))
    image = _reference(body, "imageRef")
    flavor = _reference(body, "flavorRef")
    least, most = fields.check_counts(body.get("min_count"), body.get("max_count"))
    if body.get("availability_zone") not in (None, "", caller.zone):
        raise BadRequest("The requested availability zone is not available")
    key_name = body.get("key_name")
    if key_name is not None and not isinstance(key_name, str):
        raise BadRequest("Invalid key_name provided.")
    return NewServers(
        name=name,
        hostname=fields.hostname(name),
        flavor_id=flavor,
        image_id=image,
        min_count=least,
        max_count=most,
        key_name=key_name,
        metadata=check_metadata(body.get("metadata"), caller.scope.tenant_id),
        security_groups=fields.check_groups(body.get("security_groups")),
        config_drive=fields.check_config_drive(body.get("config_drive")),
        deadline_seconds=settings().create_deadline_seconds,
        user_data=fields.check_user_data(body.get("user_data")),
        files=fields.check_personality(body.get("personality")),
    )


def _reference(body: dict[str, Any], member: str) -> int:
    """Id of an image or flavor; -1, which names none, for what is no reference."""
    value = body.get(member)
    if value is None or value == "":
        raise BadRequest(f"Missing {member} attribute")
    found = reference(value)
    return -1 if found is None else found


def check_limits(conn: Connection, scope: Scope, metadata: dict[str, str], files: Files) -> None:
    """Raises OverLimit for more items or files, or longer ones, than the tenant may have."""
    limits = quota.limits(conn, scope.tenant_id, scope.zone_id)
    check_count(metadata, limits["metadata_items"], scope.tenant_id)
    fields.check_files(files, limits)


def _create(
    conn: Connection, scope: Scope, new: NewServers
) -> tuple[servers.ServerDetail, list[int]]:
    """The transaction: all of the servers or none."""
    check_limits(conn, scope, new.metadata, new.files)
    created = server_changes.create(conn, scope, new)
    first = servers.find(conn, scope, created.server_ids[0])
    assert first is not None
    return first, created.operation_ids


def name_in_use(name: str) -> Fault:
    """The fault of a name that another server has (R98, D15)."""
    kind = InProgress if settings().duplicate_name_status == 409 else BadRequest
    return kind(f"Server name '{name}' already in use.")


# Texts of refusals that are a 400 (wire-notes 9.3).
_REFUSALS: dict[type[NotAdmitted], str] = {
    server_changes.UnknownImage: "Cannot find requested image {image}: Image not found.",
    server_changes.ImageNotActive: "Cannot find requested image {image}: Image is not active.",
    server_changes.UnknownFlavor: "Invalid flavorRef provided.",
    server_changes.FlavorTooSmall: "Instance type's {what} is too small for requested image.",
    server_changes.UnknownKeypair: "Invalid key_name provided.",
    server_changes.UnknownGroup: "Security group {what} not found for project {tenant}.",
}


def _fault(refusal: NotAdmitted, caller: Authorized, body: dict[str, Any]) -> Fault:
    """The fault of a refusal."""
    if isinstance(refusal, server_changes.NameInUse):
        return name_in_use(str(refusal))
    image = str(body.get("imageRef"))[:255]
    text = _REFUSALS[type(refusal)]
    return BadRequest(text.format(image=image, what=refusal, tenant=caller.scope.tenant_id))
