"""Fields of groups and rules as clients send them (R240-R249, D7, D47). All raise BadRequest."""

import ipaddress
import re
from typing import Any

from api.faults import BadRequest
from api.wire.fields import reference
from db.queries.security_group_changes import NewRule

INCOMPLETE = "Not enough parameters to build a valid rule."
_PORTS = ("tcp", "udp")
_WHOLE = {"tcp": (1, 65535), "udp": (1, 65535), "icmp": (-1, -1)}  # D47c
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_CIDR = re.compile(r"[0-9.]+(/[0-9]{1,2})?")


def check_text(what: str, value: Any) -> str:
    """Name or description of a group, trimmed."""
    if not isinstance(value, str):
        raise BadRequest(f"Security group {what} is not a string or unicode")
    text = value.strip()
    if not text:
        raise BadRequest(f"Security group {what} cannot be empty.")
    if len(text) > 255:
        raise BadRequest(f"Security group {what} should not be greater than 255 characters.")
    return text


def check_rule(body: dict[str, Any]) -> NewRule:
    """A rule that is well formed; null and empty members count as absent (D85)."""
    given = {member: value for member, value in body.items() if value not in (None, "")}
    parent = reference(given.get("parent_group_id"))
    if parent is None:
        raise BadRequest("Parent group id is not integer")
    if ("cidr" in given) == ("group_id" in given):
        raise BadRequest("Exactly one of cidr and group_id must be specified.")
    cidr = _cidr(given["cidr"]) if "cidr" in given else None
    source = _source(given["group_id"]) if "group_id" in given else None
    protocol, first, last = _traffic(given, filled=source is not None)
    return NewRule(parent, protocol, first, last, cidr, source)


def _source(value: Any) -> int:
    source = reference(value)
    if source is None:
        raise BadRequest("Security group id should be integer")
    return source


def _cidr(value: Any) -> str:
    """An IPv4 network as network/prefix; a bare address is one of a single address (D47g)."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        if _CIDR.fullmatch(text):
            return str(ipaddress.IPv4Network(text, strict=False))
    except ValueError:
        pass
    raise BadRequest(f"Invalid cidr {_shown(value)}.")


def _traffic(given: dict[str, Any], *, filled: bool) -> tuple[str | None, int | None, int | None]:
    """Protocol and ports; without ports, all of the protocol's where ``filled`` (D47c)."""
    ports = [given[member] for member in ("from_port", "to_port") if member in given]
    if "ip_protocol" not in given:
        if ports:
            raise BadRequest(INCOMPLETE)
        return None, None, None
    protocol = _protocol(given["ip_protocol"])
    if not ports and filled:
        return protocol, *_WHOLE[protocol]
    if len(ports) < 2:
        raise BadRequest(INCOMPLETE)
    return protocol, *_range(protocol, *ports)


def _protocol(value: Any) -> str:
    protocol = value.strip().lower() if isinstance(value, str) else ""
    if protocol not in _WHOLE:
        raise BadRequest(f"Invalid IP protocol {_shown(value)}.")
    return protocol


def _range(protocol: str, from_port: Any, to_port: Any) -> tuple[int, int]:
    """Ports, or type and code (D7)."""

    def invalid(reason: str) -> BadRequest:
        shown = f"{_shown(from_port)}:{_shown(to_port)}"
        return BadRequest(f"Invalid port range {shown}. {reason}")

    first, last = _integer(from_port), _integer(to_port)
    if first is None or last is None:
        raise invalid("Both must be integers.")
    least, most = (1, 65535) if protocol in _PORTS else (-1, 255)
    if not (least <= first <= most and least <= last <= most):
        raise invalid(f"Both must be between {least} and {most}.")
    if protocol in _PORTS and first > last:
        raise invalid("Former value cannot be greater than the later")
    return first, last


def _integer(value: Any) -> int | None:
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _shown(value: Any) -> str:
    return str(value)[:255]
