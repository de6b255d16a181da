"""Limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api.limits.rates import Left
from api.wire.view import timestamp
from api.wire.xml import Element, compute
from db.rates import DEFAULT_RATES

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
SAMPLE = {
    "metadata_items": 50, "injected_files": 5, "injected_file_content_bytes": 10240,
    "security_group_rules": 20, "security_groups": 10, "cores": 20, "floating_ips": 10,
    "instances": 20, "ram": 102400, "gigabytes": 1000, "volumes": 10,
}  # fmt: skip
SAMPLE_LEFT = [
    Left(rate, rate.value, datetime(2012, 10, 5, 3, 47, 15, tzinfo=UTC)) for rate in DEFAULT_RATES
]

Rates = dict[tuple[str, str], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class LimitsView:
    """Absolute limits by resource, and rates. Those that are off are left out (D51)."""

    limits: Mapping[str, int]
    left: Sequence[Left]

    def json(self) -> dict[str, Any]:
        """Members in JSON."""
        rate = [
            {"limit": limits, "regex": regex, "uri": uri}
            for (uri, regex), limits in self._rates().items()
        ]
        return {"absolute": self._absolute(), "rate": rate}

    def xml(self, tag: str) -> Element:
        """Rates, then a name and a value for each absolute limit."""
        rates = [
            compute(
                "rate", {"regex": regex, "uri": uri}, *[compute("limit", one) for one in limits]
            )
            for (uri, regex), limits in self._rates().items()
        ]
        absolute = self._absolute().items()
        limits = [compute("limit", {"name": name, "value": value}) for name, value in absolute]
        return compute(
            tag, None, compute("rates", None, *rates), compute("absolute", None, *limits)
        )

    def _absolute(self) -> dict[str, int]:
        return {
            member: self.limits[resource]
            for member, resource in ABSOLUTE
            if self.limits[resource] >= 0
        }

    def _rates(self) -> Rates:
        """Rates by uri and regex, in the order of the settings (R69)."""
        grouped: Rates = {}
        for left in self.left:
            rate = left.rate
            shown = {
                "next-available": timestamp(left.next_available),
                "remaining": left.remaining,
                "unit": rate.unit,
                "value": rate.value,
                "verb": rate.verb,
            }
            grouped.setdefault((rate.uri, rate.regex), []).append(shown)
        return grouped
