"""Fields of a server as clients send them (R96-R132)."""

import base64
import binascii
import re
from typing import Any

from api.faults import BadRequest, OverLimit
from api.wire.body import MALFORMED
from db.queries.server_files import Files

MOST_USER_DATA = 16384  # bytes, decoded (D57)
MOST_PATH = 255  # bytes (R187)
_TRUE = {"true", "1"}
_FALSE = {"false", "0", ""}
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NOT_IN_HOSTNAME = re.compile(r"[^a-z0-9-]")


def check_name(value: Any) -> str:
    """A display name, trimmed (R97, D16)."""
    if value is None:
        raise BadRequest("Server name is not defined")
    if not isinstance(value, str):
        raise BadRequest("Server name is not a string or unicode")
    name = value.strip()
    if not name:
        raise BadRequest("Server name is an empty string")
    if len(name) > 255:
        raise BadRequest("Server name must be less than 256 characters.")
    if not any(map(str.isalpha, name)):
        raise BadRequest("Server name must contain at least one alphabetic character.")
    return name


def hostname(name: str) -> str:
    """Host name that a display name gives (wire-notes 5.2); "" when nothing is left of it."""
    dashed = name.lower().replace(" ", "-").replace("_", "-")
    return _NOT_IN_HOSTNAME.sub("", dashed).strip("-")[:63].strip("-")


def check_counts(least: Any, most: Any) -> tuple[int, int]:
    """min_count and max_count with their defaults (R122, D17)."""
    low = _count("min_count", least, 1)
    high = _count("max_count", most, low)
    if low > high:
        raise BadRequest("min_count must be <= max_count")
    return low, high


def _count(name: str, value: Any, default: int) -> int:
    if value is None:
        return default
    count = _integer(name, value)
    if count < 1:
        raise BadRequest(f"{name} must be > 0")
    return count


def _integer(name: str, value: Any) -> int:
    """A number, as such or in digits."""
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest(f"{name} must be an integer value")
    return value


def check_length(value: Any) -> int | None:
    """How many lines of a console are wanted; None: all (R208, D38)."""
    if value is None:
        return None
    length = _integer("length", value)
    if length < 0:
        raise BadRequest("length must be >= 0")
    return length


def quota_fault(room: int) -> OverLimit:
    """The fault of a create that does not fit the quota (R59-R61, D17)."""
    more = (
        f"You can only run {room} more instances of this type."
        if room
        else "You cannot run any more instances of this type."
    )
    return OverLimit(f"Instance quota exceeded. {more}")


def check_config_drive(value: Any) -> bool:
    """Whether a configuration drive is wanted (D31)."""
    if value is None:
        return False
    text = str(value).strip().lower() if isinstance(value, bool | int | str) else "?"
    if text not in _TRUE | _FALSE:
        raise BadRequest("Invalid config_drive value")
    return text in _TRUE


def check_groups(value: Any) -> tuple[str, ...]:
    """Names of security groups, as objects or strings, each once (R126)."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadRequest(MALFORMED)
    names = [item.get("name") if isinstance(item, dict) else item for item in value]
    known = [name for name in names if isinstance(name, str)]
    if len(known) < len(names):
        raise BadRequest(MALFORMED)
    return tuple(dict.fromkeys(known))


def decode(value: Any) -> bytes | None:
    """Base64 with white space in it (R189, D84); None when it is not."""
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (ValueError, binascii.Error):
        return None


def check_user_data(value: Any) -> bytes | None:
    """Decoded user data (R130, D57); None without."""
    if value is None or value == "":
        return None
    data = decode(value)
    if data is None:
        raise BadRequest("Userdata content cannot be decoded")
    if len(data) > MOST_USER_DATA:
        raise OverLimit("Userdata content too long")
    return data


def check_personality(value: Any) -> Files:
    """Path and decoded contents of each file (R186-R189, D55); sizes are for the quota."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadRequest("Bad personality format")
    return tuple(_file(item) for item in value)


def _file(item: Any) -> tuple[str, bytes]:
    if not isinstance(item, dict):
        raise BadRequest("Bad personality format")
    for member in ("path", "contents"):
        if not isinstance(item.get(member), str):
            raise BadRequest(f"Bad personality format: missing '{member}'")
    path = item["path"]
    if not path:
        raise BadRequest("Bad personality format: missing 'path'")
    contents = decode(item["contents"])
    if contents is None:
        raise BadRequest(f"Personality content for {path} cannot be decoded")
    if len(path.encode()) > MOST_PATH:
        raise OverLimit("Personality file path too long")
    return path, contents


def check_files(files: Files, limits: dict[str, int]) -> None:
    """Raises OverLimit for more or longer files than the quota allows (R188)."""
    if 0 <= limits["injected_files"] < len(files):
        raise OverLimit("Personality file limit exceeded")
    most = limits["injected_file_content_bytes"]
    if 0 <= most < max((len(contents) for _, contents in files), default=0):
        raise OverLimit("Personality file content too long")
