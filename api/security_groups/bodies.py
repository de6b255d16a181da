"""Bodies of requests about security groups (D3, D30, D47, D48)."""

from api.wire.shapes import Body, Record, Text

_NUMBER = ("integer", "string", "null")
_ID = ("integer", "string")


def _number(about: str, example: str) -> Text:
    return Text(about, example, _NUMBER, absent=True)


GROUP = Body(
    "security_group",
    Record(
        {
            "name": Text(
                "1 to 255 characters, unique in the tenant", "security-group-1", attribute=True
            ),
            "description": Text("1 to 255 characters", "Security group 1"),
        },
        required=("name", "description"),
    ),
)
RULE = Body(
    "security_group_rule",
    Record(
        {
            "parent_group_id": Text("Group that gets the rule", "17965", _ID),
            "from_port": _number("First port; of icmp the type, -1 for all", "80"),
            "ip_protocol": Text(
                "tcp, udp or icmp; every protocol without it", "tcp", ("string", "null"),
                absent=True,
            ),
            "to_port": _number("Last port; of icmp the code, -1 for all", "8080"),
            "cidr": Text(
                "IPv4 network that traffic may come from; either this or group_id", "0.0.0.0/0",
                ("string", "null"), absent=True,
            ),
            "group_id": _number("Group whose members traffic may come from", "17963"),
        },
        required=("parent_group_id",),
    ),
)  # fmt: skip

_NAMED = Record({"name": Text("Name of a group of the tenant", "security-group-1")}, ("name",))
ADD_GROUP = Body("addSecurityGroup", _NAMED)
REMOVE_GROUP = Body("removeSecurityGroup", _NAMED)
