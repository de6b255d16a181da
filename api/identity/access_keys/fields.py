"""Members of an access key in a request, checked (wire-notes 4.2)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from api.faults import BadRequest
from api.identity.credentials import KEY_ID
from db import sealing
from db.queries import access_keys
from db.queries.access_keys import NewKey

ALGORITHMS = ("HmacSHA1", "HmacSHA256")
STATUSES = ("active", "inactive")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = re.compile(r"\d{1,18}")


def made(body: dict[str, Any]) -> tuple[NewKey, str]:
    """A new key as a request wants it, and its secret. Raises BadRequest."""
    bits = _bits(body)
    secret = access_keys.new_secret(bits)
    return _key(body, access_keys.new_id(), secret, bits), secret


def imported(body: dict[str, Any]) -> NewKey:
    """A key that was made elsewhere. Raises BadRequest."""
    secret, key_id = body.get("secretKey"), body.get("accessKeyId") or access_keys.new_id()
    if not isinstance(secret, str) or not 8 <= len(secret) <= 999:
        raise BadRequest("secretKey must have from 8 to 999 characters")
    if not isinstance(key_id, str) or not KEY_ID.fullmatch(key_id):
        raise BadRequest("accessKeyId must be 20 of A-Z and 0-9")
    return _key(body, key_id, secret, _bits(body))


def status(body: dict[str, Any]) -> str:
    """Whether a key is to work. Raises BadRequest."""
    return _one_of(body, "status", STATUSES)


def _key(body: dict[str, Any], key_id: str, secret: str, bits: int) -> NewKey:
    valid_from, valid_to = _time(body, "validFrom"), _time(body, "validTo")
    if valid_to is not None and valid_to <= (valid_from or datetime.now(UTC)):
        raise BadRequest("validTo must be later than validFrom")
    return NewKey(
        key_id,
        sealing.seal(secret),
        _one_of(body, "algorithm", ALGORITHMS),
        bits,
        status(body),
        valid_from,
        valid_to,
    )


def _one_of(body: dict[str, Any], member: str, allowed: tuple[str, ...]) -> str:
    """A word; the first of those allowed when there is none."""
    value = body.get(member)
    if value is None:
        return allowed[0]
    if value not in allowed:
        raise BadRequest(f"{member} must be {' or '.join(allowed)}")
    return str(value)


def _bits(body: dict[str, Any]) -> int:
    value = _integer(body.get("keyLength"))
    if value is None:
        return access_keys.BITS
    if not isinstance(value, int) or not 64 <= value <= 512:
        raise BadRequest("keyLength must be from 64 to 512")
    return value


def _integer(value: Any) -> Any:
    """A number, which XML writes in digits; anything else as it is, but True, which is none."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    return "" if isinstance(value, bool) else value


def _time(body: dict[str, Any], member: str) -> datetime | None:
    """A time: milliseconds or text, in UTC unless the text says otherwise."""
    value = _integer(body.get(member))
    if value is None:
        return None
    try:
        if isinstance(value, int):
            at = _EPOCH + timedelta(milliseconds=value)
        else:
            at = datetime.fromisoformat(value)
            at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
        if not 1970 <= at.year < 3000:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise BadRequest(f"Invalid {member} value") from None
    return at
