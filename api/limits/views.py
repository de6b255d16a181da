"""Limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.wire.xml import Element, compute

# Member of the answer for each resource (R65, D51).
ABSOLUTE = (
    ("maxImageMeta", "metadata_items"),  # R58: of images too
    ("maxPersonality", "injected_files"),
    ("maxPersonalitySize", "injected_file_content_bytes"),
    ("maxSecurityGroupRules", "security_group_rules"),
    ("maxSecurityGroups", "security_groups"),
    ("maxServerMeta", "metadata_items"),
    ("maxTotalCores", "cores"),
    ("maxTotalFloatingIps", "floating_ips"),
    ("maxTotalInstances", "instances"),
    ("maxTotalRAMSize", "ram"),
    ("maxTotalVolumeGigabytes", "gigabytes"),
    ("maxTotalVolumes", "volumes"),
)


@dataclass(frozen=True, slots=True)
class LimitsView:
    """Absolute limits by resource. No rate is limited yet, so none is listed."""

    limits: Mapping[str, int]

    def json(self) -> dict[str, Any]:
        """Members in JSON; a limit that is off (-1) is left out (D51)."""
        absolute = {
            member: self.limits[resource]
            for member, resource in ABSOLUTE
            if self.limits[resource] >= 0
        }
        return {"absolute": absolute, "rate": []}

    def xml(self, tag: str) -> Element:
        """Rates, then a name and a value for each absolute limit."""
        absolute = self.json()["absolute"].items()
        limits = [compute("limit", {"name": name, "value": value}) for name, value in absolute]
        return compute(tag, None, compute("rates"), compute("absolute", None, *limits))
