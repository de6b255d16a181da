"""What the queries of server lists ask for (R50-R56, R139, R140, D52, D53)."""

import re

from starlette.requests import Request

from api.faults import BadRequest
from api.wire.document import Query
from api.wire.fields import reference
from api.wire.times import changes_since
from db.models.servers import VM_STATES
from db.queries.server_lists import Wanted

QUERY = (
    Query("image", "Image: id, or a URI that ends in it"),
    Query("flavor", "Flavor: id, or a URI that ends in it"),
    Query("name", "Regular expression, matched from the start of the name"),
    Query("status", "State, in either case, or state and task as shown"),
    Query("changes-since", "Only servers changed after this time, deleted ones too (R53)"),
)
_NOT_LITERAL = re.compile(r"[][.^$*+?{}()|\\]")
_STATUS = re.compile(r"(\w+)(?:\((\w+)\))?")


def wanted_of(request: Request) -> Wanted:
    """Servers that the query asks for; empty values ask for nothing.

    Raises BadRequest for a status that there is not and for a time that is none.
    """
    given = {key: value for key, value in request.query_params.items() if value.strip()}
    name = given.get("name")
    is_expression = name is not None and _NOT_LITERAL.search(name) is not None
    vm_state, task_state = _status(given.get("status"))
    return Wanted(
        image_id=_id(given.get("image")),
        flavor_id=_id(given.get("flavor")),
        name_prefix=None if is_expression else name,
        name_expression=name if is_expression else None,
        vm_state=vm_state,
        task_state=task_state,
        changes_since=changes_since(request),
    )


def _id(value: str | None) -> int | None:
    """Id of an image or flavor; -1, which nothing has, for what is none."""
    if value is None:
        return None
    found = reference(value)
    return -1 if found is None else found


def _status(value: str | None) -> tuple[str | None, str | None]:
    """State and task. A bare state is compared without case, whatever runs (D53)."""
    if value is None:
        return None, None
    match = _STATUS.fullmatch(value.strip())
    state, task = match.groups() if match else ("", None)
    if state.upper() not in VM_STATES:
        raise BadRequest(f"Invalid server status: {value}")
    return (state, task) if task else (state.upper(), None)
