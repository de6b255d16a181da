"""What the firewall of a host must let in: its servers, their security groups, and the sources.

It crosses from the database to the host beside the servers' own records, and the host keeps it on
disk, so that it can make its rules again while the database is away.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WantedRule:
    """One rule (R245-R250): it lets in what comes from ``cidr``, or from members of ``source``."""

    id: int
    protocol: str | None  # "tcp", "udp", "icmp"; None: every protocol
    from_port: int | None  # for icmp the type, -1 any
    to_port: int | None  # for icmp the code, -1 any
    cidr: str | None
    source: int | None  # id of a group


@dataclass(frozen=True, slots=True)
class WantedGroup:
    """A security group as far as the host needs it.

    ``rules`` is None when no server here has the group, ``members`` (fixed addresses in the whole
    zone) when no rule here has it as its source.
    """

    id: int
    generation: int  # rises with every change of its rules or members
    rules: tuple[WantedRule, ...] | None
    members: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class WantedGuest:
    """A server here and its groups, by ascending id."""

    server_id: int
    address: str  # fixed
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WantedFirewall:
    """All of it, for one host."""

    guests: tuple[WantedGuest, ...] = ()
    groups: tuple[WantedGroup, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WantedFirewall:
        """Inverse of :meth:`to_json`. Raises KeyError or TypeError for another shape."""
        return cls(
            tuple(
                WantedGuest(guest["server_id"], guest["address"], tuple(guest["groups"]))
                for guest in data["guests"]
            ),
            tuple(group(value) for value in data["groups"]),
        )


def group(value: dict[str, Any]) -> WantedGroup:
    """A group from plain values. Raises KeyError or TypeError for another shape."""
    rules, members = value["rules"], value["members"]
    return WantedGroup(
        value["id"],
        value["generation"],
        None if rules is None else tuple(WantedRule(**rule) for rule in rules),
        None if members is None else tuple(members),
    )
