"""Flavors."""

from dataclasses import dataclass
from typing import Any

from api.wire.links import Links
from api.wire.xml import Element, compute, links
from db.queries.flavors import FlavorRow

SAMPLE = FlavorRow(
    id=104, name="standard.xlarge", vcpus=4, ram_mb=16384, disk_gb=480, swap_mb=0, rxtx_quota=0,
    rxtx_cap=0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FlavorView:
    """A flavor: id, name and links, and its sizes unless ``brief`` (R214, D50)."""

    flavor: FlavorRow
    links: Links
    brief: bool = False

    def json(self) -> dict[str, Any]:
        """Members in JSON; the id is a number (D1)."""
        flavor = self.flavor
        members: dict[str, Any] = {
            "id": flavor.id,
            "links": self.links.both("flavors", flavor.id),
            "name": flavor.name,
        }
        if not self.brief:
            members |= {
                "disk": flavor.disk_gb,
                "ram": flavor.ram_mb,
                "rxtx_cap": flavor.rxtx_cap,
                "rxtx_quota": flavor.rxtx_quota,
                "swap": flavor.swap_mb,
                "vcpus": flavor.vcpus,
            }
        return members

    def xml(self, tag: str) -> Element:
        """Everything but the links in attributes (D50)."""
        members = self.json()
        found = links(members.pop("links"))
        return compute(tag, {key: members[key] for key in sorted(members)}, *found)
