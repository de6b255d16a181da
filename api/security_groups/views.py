"""Security groups and rules."""

from dataclasses import dataclass
from typing import Any

from api.wire.xml import Element, compute
from db.queries.security_groups import GroupRow, RuleRow

_TENANT = "36991859863737"
SAMPLE_RULE = RuleRow(
    id=42941, group_id=17965, protocol="tcp", from_port=80, to_port=8080, cidr="0.0.0.0/0",
    source=None,
)  # fmt: skip
SAMPLE = GroupRow(
    id=17965, tenant_id=_TENANT, name="security-group-1", description="Security group 1",
    rules=(SAMPLE_RULE,),
)  # fmt: skip
SAMPLE_NEW = GroupRow(17753, _TENANT, "security-group-1", "Security group 1", ())


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule: ``group`` is empty when it has a CIDR, ``ip_range`` when it has a source group."""

    rule: RuleRow
    tenant_id: str  # of the group and its source alike

    def json(self) -> dict[str, Any]:
        """Members in JSON; ids and ports are numbers (D1)."""
        rule = self.rule
        source = {"name": rule.source, "tenant_id": self.tenant_id}
        return {
            "from_port": rule.from_port,
            "group": {} if rule.source is None else source,
            "id": rule.id,
            "ip_protocol": rule.protocol,
            "ip_range": {} if rule.cidr is None else {"cidr": rule.cidr},
            "parent_group_id": rule.group_id,
            "to_port": rule.to_port,
        }

    def xml(self, tag: str) -> Element:
        """Ids as attributes, the rest as children in the reference's order; null is None (D30)."""
        members = self.json()
        group, ip_range = members["group"], members["ip_range"]
        return compute(
            tag,
            {key: members[key] for key in ("id", "parent_group_id")},
            compute.leaf("from_port", members["from_port"]),
            _children("group", {key: group[key] for key in ("tenant_id", "name") if key in group}),
            compute.leaf("ip_protocol", members["ip_protocol"]),
            compute.leaf("to_port", members["to_port"]),
            _children("ip_range", ip_range),
        )


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group with its rules (R241, R242)."""

    group: GroupRow

    def _rules(self) -> list[RuleView]:
        return [RuleView(rule, self.group.tenant_id) for rule in self.group.rules]

    def json(self) -> dict[str, Any]:
        """Members in JSON; the id is a number (D1)."""
        group = self.group
        return {
            "description": group.description,
            "id": group.id,
            "name": group.name,
            "rules": [rule.json() for rule in self._rules()],
            "tenant_id": group.tenant_id,
        }

    def xml(self, tag: str) -> Element:
        """Attributes, then rules and description as children."""
        members = self.json()
        return compute(
            tag,
            {key: members[key] for key in ("id", "name", "tenant_id")},
            compute("rules", None, *[rule.xml("rule") for rule in self._rules()]),
            compute.leaf("description", members["description"]),
        )


def _children(tag: str, members: dict[str, Any]) -> Element:
    return compute(tag, None, *[compute.leaf(key, value) for key, value in members.items()])
