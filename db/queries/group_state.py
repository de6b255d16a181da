"""Security groups as hosts need them, and which generation of each is in force where.

A group's generation rises with every change of its rules or members, in the transaction of the
change. A host asks which groups concern it and reads only those whose generation it does not have;
then it says what is in force. The cost of a change therefore grows with the hosts that it concerns.

Hosts that a group concerns: those of its members, and those of the members of groups that have it
as a source (R252-R254).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from db.wanted_firewall import WantedGroup, WantedGuest, group

_GUESTS = text("""
    SELECT s.id, host(f.address) AS address,
           coalesce(array_agg(m.group_id ORDER BY m.group_id) FILTER (WHERE m.group_id IS NOT NULL),
                    '{}') AS groups
    FROM servers s JOIN hosts h ON h.id = s.host_id JOIN fixed_addresses f ON f.server_id = s.id
    LEFT JOIN server_security_groups m ON m.server_id = s.id
    WHERE h.name = :host AND s.deleted_at IS NULL GROUP BY s.id, f.address ORDER BY s.id
""")
_CONCERNING = text("""
    WITH own AS (SELECT unnest(CAST(:own AS bigint[])) AS id),
         sources AS (SELECT DISTINCT r.source_group_id AS id FROM security_group_rules r
                     JOIN own ON own.id = r.group_id WHERE r.source_group_id IS NOT NULL)
    SELECT g.id, g.generation, own.id IS NOT NULL AS is_own, sources.id IS NOT NULL AS is_source
    FROM security_groups g LEFT JOIN own ON own.id = g.id LEFT JOIN sources ON sources.id = g.id
    WHERE own.id IS NOT NULL OR sources.id IS NOT NULL ORDER BY g.id
""")
_CONTENTS = text("""
    SELECT g.id, g.generation, coalesce(r.rules, '[]') AS rules,
           coalesce(m.members, '[]') AS members
    FROM security_groups g
    LEFT JOIN (SELECT r.group_id, jsonb_agg(jsonb_build_object('id', r.id, 'protocol', r.protocol,
                          'from_port', r.from_port, 'to_port', r.to_port, 'cidr', r.cidr::text,
                          'source', r.source_group_id) ORDER BY r.id) AS rules
                 FROM security_group_rules r WHERE r.group_id = ANY(:own) GROUP BY r.group_id) r
      ON r.group_id = g.id
    LEFT JOIN (SELECT m.group_id, jsonb_agg(host(f.address) ORDER BY f.address) AS members
                 FROM server_security_groups m JOIN servers s ON s.id = m.server_id
                 JOIN fixed_addresses f ON f.server_id = s.id
                WHERE m.group_id = ANY(:sources) AND s.deleted_at IS NULL GROUP BY m.group_id) m
      ON m.group_id = g.id
    WHERE g.id = ANY(:ids)
""")
_TOUCH = text("""
    UPDATE security_groups SET generation = generation + 1
    WHERE id IN (SELECT id FROM security_groups WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE)
""")
_HOLD_GROUPS = text("""
    SELECT g.id FROM server_security_groups m JOIN security_groups g ON g.id = m.group_id
    WHERE m.server_id = :server_id ORDER BY g.id FOR KEY SHARE OF g
""")
_BECOMES_SOURCE = text("SELECT 1 FROM security_groups WHERE id = :id FOR UPDATE")
_SOURCES_OF_SERVER = text("""
    SELECT m.group_id FROM server_security_groups m WHERE m.server_id = :server_id
       AND EXISTS (SELECT 1 FROM security_group_rules r WHERE r.source_group_id = m.group_id)
""")
_HOSTS_OF_SOURCES = text("""
    SELECT DISTINCT h.name FROM security_group_rules r
    JOIN server_security_groups m ON m.group_id = r.group_id
    JOIN servers s ON s.id = m.server_id AND s.deleted_at IS NULL
    JOIN hosts h ON h.id = s.host_id
    WHERE r.source_group_id = ANY(:ids) ORDER BY h.name
""")
_HOSTS_WITHOUT = text("""
    SELECT DISTINCT h.name FROM servers gone
    JOIN server_security_groups g ON g.server_id = gone.id
    JOIN security_group_rules r ON r.source_group_id = g.group_id
    JOIN server_security_groups m ON m.group_id = r.group_id
    JOIN servers s ON s.id = m.server_id AND s.deleted_at IS NULL
    JOIN hosts h ON h.id = s.host_id
    WHERE gone.id = :server_id AND gone.deleted_at IS NOT NULL ORDER BY h.name
""")
_REPORT = text("""
    INSERT INTO host_security_groups (host_id, group_id, generation, error, applied_at)
    SELECT h.id, g.id, r.generation, r.error, clock_timestamp()
    FROM unnest(CAST(:ids AS bigint[]), CAST(:generations AS bigint[]), CAST(:errors AS text[]))
         AS r(id, generation, error)
    JOIN (SELECT id FROM security_groups WHERE id = ANY(:ids) FOR KEY SHARE) g ON g.id = r.id
    JOIN hosts h ON h.name = :host
    ON CONFLICT (host_id, group_id) DO UPDATE SET generation = excluded.generation,
        error = excluded.error, applied_at = excluded.applied_at
        WHERE (host_security_groups.generation, host_security_groups.error)
              IS DISTINCT FROM (excluded.generation, excluded.error)
""")
_UNCONCERNED = text("""
    DELETE FROM host_security_groups a USING hosts h
    WHERE h.id = a.host_id AND h.name = :host AND a.group_id <> ALL(:ids)
""")


@dataclass(frozen=True, slots=True)
class Concerning:
    """A group that concerns a host: as that of a server here, as a source of one's rules, or both.

    ``generation`` is the one that the database wants.
    """

    id: int
    generation: int
    is_own: bool
    is_source: bool


@dataclass(frozen=True, slots=True)
class InForce:
    """What a host made of a group: ``error`` says which of its rules are not in force, and why."""

    generation: int
    error: str | None = None


def guests_on_host(conn: Connection, host: str) -> list[WantedGuest]:
    """The host's servers that have an address, with their groups."""
    rows = conn.execute(_GUESTS, {"host": host})
    return [WantedGuest(row.id, row.address, tuple(row.groups)) for row in rows]


def concerning(conn: Connection, own: Collection[int]) -> list[Concerning]:
    """The groups ``own`` of a host's servers and the sources of their rules, by id."""
    return [Concerning(*row) for row in conn.execute(_CONCERNING, {"own": list(own)})]


def contents(conn: Connection, wanted: Collection[Concerning]) -> list[WantedGroup]:
    """Rules and members of groups, each as far as it concerns the host."""
    by_id = {each.id: each for each in wanted}
    asked = {
        "ids": list(by_id),
        "own": [each.id for each in wanted if each.is_own],
        "sources": [each.id for each in wanted if each.is_source],
    }
    found = []
    for row in conn.execute(_CONTENTS, asked):
        each = by_id[row.id]
        values = {
            "id": row.id,
            "generation": row.generation,
            "rules": row.rules if each.is_own else None,
            "members": row.members if each.is_source else None,
        }
        found.append(group(values))
    return found


def touch(conn: Connection, ids: Collection[int]) -> None:
    """The rules or the members of groups are others now; last in the transaction that made it so.

    Changes of one group wait here for each other, so that a generation says what was seen.
    """
    if ids:
        conn.execute(_TOUCH, {"ids": sorted(ids)})


def members_changed(conn: Connection, server_id: int) -> list[str]:
    """A server got or lost its fixed address: hosts on which its groups are sources (R254).

    Its groups are held, so that none becomes a source (:func:`becomes_source`) unseen.
    """
    conn.execute(_HOLD_GROUPS, {"server_id": server_id})
    ids = list(conn.execute(_SOURCES_OF_SERVER, {"server_id": server_id}).scalars())
    if not ids:
        return []
    touch(conn, ids)
    return list(conn.execute(_HOSTS_OF_SOURCES, {"ids": ids}).scalars())


def becomes_source(conn: Connection, group_id: int) -> None:
    """Before a rule gets the group as its source: all who made or unmade members have committed.

    Otherwise they would not see the rule, nor the rule's hosts the members, and nobody would look
    again. Who holds a group by :func:`members_changed` waits for no other's hold, so this is no
    part of a deadlock although it is stronger than the lock of :func:`touch`.
    """
    conn.execute(_BECOMES_SOURCE, {"id": group_id})


def hosts_without(conn: Connection, server_id: int) -> list[str]:
    """Hosts on which groups of a server that is deleted are sources; none while it lives."""
    return list(conn.execute(_HOSTS_WITHOUT, {"server_id": server_id}).scalars())


def report(
    conn: Connection, host: str, changed: Mapping[int, InForce], concerned: Collection[int]
) -> None:
    """The host has ``changed`` groups in force as told, and no others than ``concerned``."""
    values: dict[str, Any] = {
        "host": host,
        "ids": list(changed),
        "generations": [state.generation for state in changed.values()],
        "errors": [state.error for state in changed.values()],
    }
    if changed:
        conn.execute(_REPORT, values)
    conn.execute(_UNCONCERNED, {"host": host, "ids": list(concerned)})


# -- for operators ------------------------------------------------------------------------------

_STATUS = text("""
    WITH concerned AS (
        SELECT s.host_id, s.id, m.group_id = :id AS member FROM servers s
        JOIN server_security_groups m ON m.server_id = s.id
        JOIN fixed_addresses f ON f.server_id = s.id
        WHERE s.deleted_at IS NULL AND s.host_id IS NOT NULL
          AND m.group_id IN (SELECT :id UNION SELECT r.group_id FROM security_group_rules r
                             WHERE r.source_group_id = :id))
    SELECT h.name AS host, count(DISTINCT c.id) FILTER (WHERE c.member) AS servers,
           g.generation AS wanted, a.generation AS applied, a.applied_at, a.error,
           coalesce(a.generation >= g.generation AND a.error IS NULL, false) AS in_force,
           h.enabled, h.disabled_reason,
           extract(epoch FROM clock_timestamp() - b.at)::double precision AS silence
    FROM concerned c JOIN hosts h ON h.id = c.host_id JOIN security_groups g ON g.id = :id
    LEFT JOIN host_heartbeats b ON b.host_id = h.id
    LEFT JOIN host_security_groups a ON a.host_id = h.id AND a.group_id = g.id
    GROUP BY h.id, g.id, b.host_id, a.host_id, a.group_id
    ORDER BY regexp_replace(h.name, '[0-9]+$', ''), length(h.name), h.name
""")


@dataclass(frozen=True, slots=True)
class HostStatus:
    """A group on one of the hosts that it concerns. ``silence``: seconds since a heartbeat."""

    host: str
    servers: int  # members on this host
    wanted: int
    applied: int | None
    applied_at: datetime | None
    error: str | None
    in_force: bool
    enabled: bool
    disabled_reason: str | None
    silence: float | None  # None: never heard


def status(conn: Connection, group_id: int) -> list[HostStatus]:
    """The wanted and the applied generation of a group per host that it concerns, by name."""
    return [HostStatus(*row) for row in conn.execute(_STATUS, {"id": group_id})]
