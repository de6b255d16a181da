"""What clients change about security groups, their rules and their members (R240-R254).

Every change takes the tenant's lock first, so that what it counted, found or refused stays so until
it commits; servers come before groups in the lock order. What a change gives back names the hosts
on which packets are filtered otherwise from now on, and no others:

- a rule concerns the members of its own group;
- a member that comes or goes concerns its host, and the members of the groups that have the group
  as a source (R254);
- a deleted group concerns both kinds of members (R244).

Each also raises the generation of the groups that are others now, by which hosts and operators
know whether a change is in force (:mod:`db.queries.group_state`).

Deleting a group also deletes its memberships and every rule that has it as a source (D14): the
foreign keys do that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, TextClause, text

from db import quota
from db.queries import group_state
from db.queries.security_groups import GroupRow, RuleRow
from db.queries.server_changes import lock_tenant
from db.queries.server_locks import lock_all, lock_for, touch
from db.scope import Scope

_OWNED = "tenant_id = :tenant_id AND zone_id = :zone_id"
_COUNT = text(f"""
    SELECT count(*) AS used, coalesce(bool_or(name = :name), false) AS taken
    FROM security_groups WHERE {_OWNED}
""")
_INSERT = text("""
    INSERT INTO security_groups (zone_id, tenant_id, name, description)
    VALUES (:zone_id, :tenant_id, :name, :description) RETURNING id
""")
_NAMED = text(f"SELECT id FROM security_groups WHERE {_OWNED} AND name = :name")
_NAME = text(f"SELECT name FROM security_groups WHERE {_OWNED} AND id = :id")
_MEMBERS = text("""
    SELECT s.id FROM server_security_groups m JOIN servers s ON s.id = m.server_id
    WHERE m.group_id = :id AND s.deleted_at IS NULL
""")
_SOURCED = text("""
    SELECT DISTINCT group_id FROM security_group_rules
    WHERE source_group_id = :id AND group_id <> :id
""")
_DELETE = text("DELETE FROM security_groups WHERE id = :id")

_RULE = """(CAST(:protocol AS text), CAST(:from_port AS bigint), CAST(:to_port AS bigint),
    CAST(:cidr AS cidr), CAST(:source_id AS bigint))"""
_COUNT_RULES = text(f"""
    SELECT count(*) AS used, coalesce(bool_or(
        (protocol, from_port, to_port, cidr, source_group_id) IS NOT DISTINCT FROM {_RULE}), false
    ) AS taken FROM security_group_rules WHERE group_id = :group_id
""")
_INSERT_RULE = text("""
    INSERT INTO security_group_rules (group_id, protocol, from_port, to_port, cidr, source_group_id)
    VALUES (:group_id, :protocol, :from_port, :to_port, :cidr, :source_id) RETURNING id
""")
_DELETE_RULE = text("""
    DELETE FROM security_group_rules r USING security_groups g
    WHERE r.id = :id AND g.id = r.group_id AND g.tenant_id = :tenant_id AND g.zone_id = :zone_id
    RETURNING r.group_id
""")

_JOIN = text("""
    INSERT INTO server_security_groups (server_id, group_id) VALUES (:server_id, :id)
    ON CONFLICT DO NOTHING
""")
_LEAVE = text("DELETE FROM server_security_groups WHERE server_id = :server_id AND group_id = :id")

_OF_MEMBERS = "SELECT m.server_id FROM server_security_groups m WHERE m.group_id = :id"
_OF_SOURCED = """
    SELECT m.server_id FROM security_group_rules r
    JOIN server_security_groups m ON m.group_id = r.group_id WHERE r.source_group_id = :id
"""
_HOSTS = """
    SELECT DISTINCT h.name FROM servers s JOIN hosts h ON h.id = s.host_id
    WHERE s.deleted_at IS NULL AND s.id IN ({servers}) ORDER BY h.name
"""
_HOSTS_OF_RULE = text(_HOSTS.format(servers=_OF_MEMBERS))
_HOSTS_OF_MEMBER = text(_HOSTS.format(servers=f"SELECT :server_id UNION ALL {_OF_SOURCED}"))
_HOSTS_OF_GROUP = text(_HOSTS.format(servers=f"{_OF_MEMBERS} UNION ALL {_OF_SOURCED}"))


class NotPossible(Exception):  # noqa: N818
    """Why a change cannot be: each subclass is one fault of the API. Nothing was changed."""


class GroupExists(NotPossible):
    """The tenant has a group of that name."""


class UnknownGroup(NotPossible):
    """The scope has no such group."""


class UnknownSource(NotPossible):
    """The scope has no such group that a rule could have as its source."""


class SystemGroup(NotPossible):
    """The group default stays."""


class RuleExists(NotPossible):
    """The group has the very same rule."""


class Membership(NotPossible):
    """The server is a member already, or is none."""

    def __init__(self, group_id: int) -> None:
        super().__init__(str(group_id))
        self.group_id = group_id


@dataclass(frozen=True, slots=True)
class NewRule:
    """A rule that is well formed (R245-R249): exactly one of ``cidr`` and ``source_id``."""

    group_id: int
    protocol: str | None
    from_port: int | None
    to_port: int | None
    cidr: str | None
    source_id: int | None


def _values(scope: Scope, **more: Any) -> dict[str, Any]:
    return {"tenant_id": scope.tenant_id, "zone_id": scope.zone_id, **more}


def create(conn: Connection, scope: Scope, name: str, description: str) -> GroupRow:
    """Make a group without rules (R240). Raises GroupExists or quota.QuotaExceeded."""
    lock_tenant(conn, scope.tenant_id)
    counted = conn.execute(_COUNT, _values(scope, name=name)).one()
    if counted.taken:
        raise GroupExists(name)
    quota.admit_one(conn, scope.tenant_id, scope.zone_id, "security_groups", counted.used)
    group_id = conn.execute(
        _INSERT, _values(scope, name=name, description=description)
    ).scalar_one()
    return GroupRow(group_id, scope.tenant_id, name, description, ())


def delete(conn: Connection, scope: Scope, group_id: int) -> list[str]:
    """Delete a group and take it off all servers (R244, D14); the hosts concerned.

    Raises UnknownGroup; SystemGroup for the group default.
    """
    lock_tenant(conn, scope.tenant_id)
    if _name(conn, scope, group_id) == "default":
        raise SystemGroup
    values = {"id": group_id}
    members = lock_all(conn, conn.execute(_MEMBERS, values).scalars().all())
    hosts = list(conn.execute(_HOSTS_OF_GROUP, values).scalars())
    sourced = conn.execute(_SOURCED, values).scalars().all()
    conn.execute(_DELETE, values)
    touch(conn, [server.id for server in members])
    group_state.touch(conn, sourced)
    return hosts


def _name(conn: Connection, scope: Scope, group_id: int) -> str:
    name: str | None = conn.execute(_NAME, _values(scope, id=group_id)).scalar()
    if name is None:
        raise UnknownGroup(str(group_id))
    return name


def add_rule(conn: Connection, scope: Scope, new: NewRule) -> tuple[RuleRow, list[str]]:
    """Add a rule to a group; the rule and the hosts concerned.

    Raises UnknownGroup, UnknownSource, RuleExists or quota.QuotaExceeded.
    """
    lock_tenant(conn, scope.tenant_id)
    _name(conn, scope, new.group_id)
    source = None
    if new.source_id is not None:
        source = conn.execute(_NAME, _values(scope, id=new.source_id)).scalar()
        if source is None:
            raise UnknownSource(str(new.source_id))
        group_state.becomes_source(conn, new.source_id)
    values = {
        "group_id": new.group_id, "protocol": new.protocol, "from_port": new.from_port,
        "to_port": new.to_port, "cidr": new.cidr, "source_id": new.source_id,
    }  # fmt: skip
    counted = conn.execute(_COUNT_RULES, values).one()
    if counted.taken:
        raise RuleExists(str(new.group_id))
    quota.admit_one(conn, scope.tenant_id, scope.zone_id, "security_group_rules", counted.used)
    rule_id = conn.execute(_INSERT_RULE, values).scalar_one()
    group_state.touch(conn, [new.group_id])
    rule = RuleRow(
        rule_id, new.group_id, new.protocol, new.from_port, new.to_port, new.cidr, source
    )
    return rule, list(conn.execute(_HOSTS_OF_RULE, {"id": new.group_id}).scalars())


def remove_rule(conn: Connection, scope: Scope, rule_id: int) -> list[str] | None:
    """Delete a rule (R251); the hosts concerned, None when the scope has no such rule."""
    lock_tenant(conn, scope.tenant_id)
    group_id = conn.execute(_DELETE_RULE, _values(scope, id=rule_id)).scalar()
    if group_id is None:
        return None
    group_state.touch(conn, [group_id])
    return list(conn.execute(_HOSTS_OF_RULE, {"id": group_id}).scalars())


_REFUSE = ("scheduling", "deleting")  # tasks (D48)


def join(conn: Connection, scope: Scope, server_id: int, name: str) -> list[str]:
    """A live server becomes a member of a group (R253); the hosts concerned.

    Raises UnknownServer or NotNow as of :mod:`db.queries.server_locks`, UnknownGroup, or Membership
    when it is one already.
    """
    lock_for(conn, scope, server_id, "addSecurityGroup", _REFUSE)
    return _change_member(conn, scope, server_id, name, _JOIN)


def leave(conn: Connection, scope: Scope, server_id: int, name: str) -> list[str]:
    """As :func:`join`, the other way; the last group may go too (D48)."""
    lock_for(conn, scope, server_id, "removeSecurityGroup", _REFUSE)
    return _change_member(conn, scope, server_id, name, _LEAVE)


def _change_member(
    conn: Connection, scope: Scope, server_id: int, name: str, change: TextClause
) -> list[str]:
    group_id = conn.execute(_NAMED, _values(scope, name=name)).scalar()
    if group_id is None:
        raise UnknownGroup(name)
    values = {"id": group_id, "server_id": server_id}
    if not conn.execute(change, values).rowcount:
        raise Membership(group_id)
    touch(conn, [server_id])
    group_state.touch(conn, [group_id])
    return list(conn.execute(_HOSTS_OF_MEMBER, values).scalars())
