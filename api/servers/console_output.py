"""os-getConsoleOutput (R207-R209, D38)."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.auth import Authorized
from api.database import read
from api.faults import NotFound
from api.servers.console import console_of
from api.servers.fields import check_length
from api.servers.lifecycle import as_map
from api.wire.render import render
from api.wire.xml import Element, Writer
from db.queries import server_actions
from db.queries.servers import ServerDetail

_no_namespace = Writer(None)


@dataclass(frozen=True, slots=True)
class Output:
    """What a guest wrote. In XML without a namespace, and without what XML cannot hold (R209)."""

    text: str

    def json(self) -> dict[str, str]:
        """Root member holding the text."""
        return {"output": self.text}

    def xml(self) -> Element:
        """Root element holding the text."""
        return _no_namespace.leaf("output", self.text)


SAMPLE = Output(
    "Begin: Loading essential drivers ... done.\r\n[    0.845263] udevd[79]: starting\r\n"
)


async def get_console_output(
    caller: Authorized, server: ServerDetail, value: Any, request: Request
) -> Response:
    """The end of a server's console; all that is kept of it without a length."""
    length = check_length(as_map(value).get("length"))
    place = await read(server_actions.console_place, caller.scope, server.id)
    if place is None:
        raise NotFound
    written = await console_of(place.host_address, place.server_id)
    return render(request, Output(last_lines(written.decode(errors="replace"), length)))


def last_lines(text: str, length: int | None) -> str:
    """The last lines, which end with a newline each, the last one perhaps not; None: all."""
    if length is None:
        return text
    end = "\n" if text.endswith("\n") else ""
    lines = text.removesuffix("\n").split("\n")
    return "\n".join(lines[-length:]) + end if length else ""
