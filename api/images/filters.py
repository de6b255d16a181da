"""What the queries of image lists ask for (R50-R56, R167, D44, D52, D53)."""

from dataclasses import replace

from starlette.requests import Request

from api.faults import BadRequest
from api.wire.document import Query
from api.wire.fields import as_id_or_uuid
from api.wire.times import changes_since
from db.models.catalog import IMAGE_STATES
from db.queries.images import Wanted

QUERY = (
    Query("server", "Server that the image was made of: URL, id or UUID (D44)"),
    Query("name", "The image's whole name"),
    Query("status", f"One of {', '.join(IMAGE_STATES)}, in either case"),
    Query("type", "SNAPSHOT: only images made of servers (R168)"),
    Query("changes-since", "Only images changed after this time, deleted ones too (R54)"),
)


def wanted_of(request: Request) -> Wanted:
    """Images that the query asks for; empty values ask for nothing.

    Raises BadRequest for a status that there is not and for a time that is none.
    """
    given = {key: value for key, value in request.query_params.items() if value.strip()}
    wanted = Wanted(
        name=given.get("name"),
        status=_status(given.get("status")),
        changes_since=changes_since(request),
    )
    if "type" in given:
        snapshots = given["type"].strip().upper() == "SNAPSHOT"
        wanted = replace(wanted, snapshots=snapshots, nothing=not snapshots)
    return _made_of(wanted, given["server"]) if "server" in given else wanted


def _made_of(wanted: Wanted, server: str) -> Wanted:
    which = as_id_or_uuid(server.strip().rstrip("/").rpartition("/")[2])
    if which is None:
        return replace(wanted, nothing=True)
    if isinstance(which, int):
        return replace(wanted, source_server_id=which)
    return replace(wanted, source_server_uuid=which)


def _status(value: str | None) -> str | None:
    if value is not None and value.strip().upper() not in IMAGE_STATES:
        raise BadRequest(f"Invalid image status: {value}")
    return None if value is None else value.strip().upper()
