"""Times in requests (R50, R56, D52)."""

import re
from datetime import UTC, datetime

from starlette.requests import Request

from api.faults import BadRequest

_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)"
    r"(Z|(?:[+\- ][0-9]{2}:?[0-9]{2})?)"
)


def changes_since(request: Request) -> datetime | None:
    """The time after which something must have changed to be listed, in UTC; None: no matter when.

    Raises BadRequest when it cannot be understood.
    """
    text = request.query_params.get("changes-since", "").strip()
    return parse_time(text) if text else None


def parse_time(text: str) -> datetime:
    """A dateTime of ISO 8601, to the minute or finer; without a zone it is UTC.

    A blank where the sign of a zone should be is a + that a client forgot to encode.
    """
    found = _TIME.fullmatch(text)
    if not found:
        raise _not_understood()
    day, clock, zone = found.groups()
    try:
        at = datetime.fromisoformat(f"{day}T{clock}{zone.replace(' ', '+') or 'Z'}")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _not_understood() from None


def _not_understood() -> BadRequest:
    return BadRequest("Invalid changes-since value")
