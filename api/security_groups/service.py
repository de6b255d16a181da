"""Groups, rules and members: what is asked for, what it means, and which hosts must look."""

import re
from typing import Any

from api.database import read, write
from api.faults import BadRequest, NotFound, OverLimit
from api.security_groups.fields import check_rule, check_text
from api.wire.fields import as_id, path_id_or_uuid
from db import quota
from db.queries import security_group_changes as changes
from db.queries import security_groups
from db.queries.security_groups import GroupRow, RuleRow
from db.scope import Scope
from scheduler.nudge import look_at

_INTEGER = re.compile(r"[+-]?[0-9]+")

# Texts of faults (wire-notes 9.3).
NO_GROUP_ID = "Security group id should be integer"
NO_RULE_ID = "Rule id is not integer"
UNKNOWN_GROUP = "Security group {} not found."
UNKNOWN_PARENT = "Security group ({}) not found"
UNKNOWN_RULE = "Rule ({}) not found"
GROUP_EXISTS = "Security group {} already exists"
RULE_EXISTS = "This rule already exists in group {}"
SYSTEM_GROUP = "Unable to delete system group 'default'"
TOO_MANY_GROUPS = "Quota exceeded, too many security groups."
TOO_MANY_RULES = "Quota exceeded, too many security group rules."


def _path_id(text: str, no_integer: str, unknown: str) -> int:
    """Integer id of a path (D66): text is 400, an integer that no id can be 404."""
    if not _INTEGER.fullmatch(text):
        raise BadRequest(no_integer)
    value = as_id(text)
    if value is None:
        raise NotFound(unknown.format(text))
    return value


async def list_all(scope: Scope, name: str | None) -> list[GroupRow]:
    """The tenant's groups by name, or the one of that name (R241, D68, D83)."""
    return await read(security_groups.list_all, scope, name)


async def show(scope: Scope, group_id: str) -> GroupRow:
    """A group by the id of a path (R242)."""
    found = await read(security_groups.find, scope, _path_id(group_id, NO_GROUP_ID, UNKNOWN_GROUP))
    if found is None:
        raise NotFound(UNKNOWN_GROUP.format(group_id))
    return found


async def of_server(scope: Scope, server_id: str) -> list[GroupRow]:
    """The groups of a server by name (D78)."""
    found = await read(security_groups.of_server, scope, path_id_or_uuid(server_id))
    if found is None:
        raise NotFound
    return found


async def create(scope: Scope, body: dict[str, Any]) -> GroupRow:
    """Make the group of a body (R240)."""
    name = check_text("name", body.get("name"))
    description = check_text("description", body.get("description"))
    try:
        return await write(changes.create, scope, name, description)
    except changes.GroupExists:
        raise BadRequest(GROUP_EXISTS.format(name)) from None
    except quota.QuotaExceeded:
        raise OverLimit(TOO_MANY_GROUPS) from None


async def delete(scope: Scope, group_id: str) -> None:
    """Delete a group, whoever uses it (R243, R244, D14)."""
    which = _path_id(group_id, NO_GROUP_ID, UNKNOWN_GROUP)
    try:
        hosts = await write(changes.delete, scope, which)
    except changes.UnknownGroup:
        raise NotFound(UNKNOWN_GROUP.format(group_id)) from None
    except changes.SystemGroup:
        raise BadRequest(SYSTEM_GROUP) from None
    look_at(hosts)


async def create_rule(scope: Scope, body: dict[str, Any]) -> RuleRow:
    """Add the rule of a body to its parent group (R245-R249, D47)."""
    new = check_rule(body)
    try:
        rule, hosts = await write(changes.add_rule, scope, new)
    except changes.UnknownGroup:
        raise NotFound(UNKNOWN_PARENT.format(new.group_id)) from None
    except changes.UnknownSource:
        raise BadRequest(UNKNOWN_PARENT.format(new.source_id)) from None
    except changes.RuleExists:
        raise BadRequest(RULE_EXISTS.format(new.group_id)) from None
    except quota.QuotaExceeded:
        raise OverLimit(TOO_MANY_RULES) from None
    look_at(hosts)
    return rule


async def delete_rule(scope: Scope, rule_id: str) -> None:
    """Delete a rule (R251, R252)."""
    which = _path_id(rule_id, NO_RULE_ID, UNKNOWN_RULE)
    hosts = await write(changes.remove_rule, scope, which)
    if hosts is None:
        raise NotFound(UNKNOWN_RULE.format(rule_id))
    look_at(hosts)
