"""Floating addresses and pools."""

from dataclasses import dataclass
from typing import Any

from api.wire.xml import Element, compute
from db.queries.floating_ips import FloatingRow

SAMPLE = FloatingRow(1146, "15.185.228.121", None, None, "public")


@dataclass(frozen=True, slots=True)
class FloatingView:
    """A floating address; on no server, server and fixed address are null (R224)."""

    floating: FloatingRow

    def json(self) -> dict[str, Any]:
        """Members in JSON; ids are numbers (D1, D42). Beside the reference's its pool (D80)."""
        floating = self.floating
        return {
            "fixed_ip": floating.fixed_address,
            "id": floating.id,
            "instance_id": floating.server_id,
            "ip": floating.address,
            "pool": floating.pool,
        }

    def xml(self, tag: str) -> Element:
        """A child for each member, in the reference's order; null is None (D30)."""
        members = self.json()
        order = ("instance_id", "ip", "fixed_ip", "id", "pool")
        return compute(tag, None, *[compute.leaf(key, members[key]) for key in order])


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool, which has a name only."""

    name: str

    def json(self) -> dict[str, str]:
        """Members in JSON."""
        return {"name": self.name}

    def xml(self, tag: str) -> Element:
        """An element with an attribute."""
        return compute(tag, self.json())
