"""Security: row 19. Of thousands of servers and groups only those are read that are asked for."""

from __future__ import annotations

import re

from sqlalchemy import TextClause, text

from db.queries import group_state, security_groups_admin
from tests.db.test_server_actions import active
from tests.db.world import World, add_host

SERVERS, GROUPS, HOSTS, LARGE, ADDRESSES = 5000, 500, 50, 1000, 65_000
HOST = "cmp1"
LARGE_TABLES = (
    "servers", "security_group_rules", "server_security_groups", "fixed_addresses",
    "host_security_groups",
)  # fmt: skip
_COLUMNS = """zone_id, user_id, name, name_id, hostname, reservation_id, flavor_id, flavor_name,
    vcpus, ram_mb, disk_gb, root_gb, image_id, vm_state, tenant_id"""
# Each server is in two groups, the first thousand in one more, which is its own source. Each group
# has three rules, one of them with the next group as its source.
_CROWD = f"""
    DELETE FROM server_security_groups;
    DELETE FROM security_groups;
    INSERT INTO servers ({_COLUMNS}, host_id)
    SELECT {_COLUMNS.replace(" name,", " s.name,")}, 1 + n % {HOSTS}
    FROM servers s, generate_series(1, {SERVERS - 1}) AS n;
    INSERT INTO fixed_addresses (network_id, address, server_id)
    SELECT (SELECT min(id) FROM networks), CAST('10.0.8.0' AS inet) + n, s.id
    FROM generate_series(1, {ADDRESSES}) AS n LEFT JOIN servers s ON s.id = n + 1;
    INSERT INTO security_groups (zone_id, tenant_id, name)
    SELECT s.zone_id, s.tenant_id, CASE n WHEN 1 THEN 'large' ELSE 'group ' || n END
    FROM generate_series(1, {GROUPS}) AS n, servers s WHERE s.id = 1;
    CREATE TEMP TABLE numbered ON COMMIT DROP AS
    SELECT id, row_number() OVER (ORDER BY id) AS n FROM security_groups;
    INSERT INTO security_group_rules
           (group_id, protocol, from_port, to_port, cidr, source_group_id)
    SELECT id, 'tcp', 22, 22, CAST('0.0.0.0/0' AS cidr), NULL::bigint FROM numbered
    UNION ALL SELECT id, 'icmp', -1, -1, '0.0.0.0/0', NULL FROM numbered
    UNION ALL SELECT a.id, 'tcp', 1, 65535, NULL, CASE a.n WHEN 1 THEN a.id ELSE b.id END
    FROM numbered a JOIN numbered b ON b.n = 1 + a.n % {GROUPS};
    INSERT INTO server_security_groups (server_id, group_id)
    SELECT s.id, g.id FROM servers s JOIN numbered g
        ON g.n IN (2 + s.id % {GROUPS - 1}, 2 + (s.id * 7 + 3) % {GROUPS - 1})
        OR g.n = 1 AND s.id <= {LARGE};
    INSERT INTO host_security_groups (host_id, group_id, generation)
    SELECT h.id, g.id, 1 FROM hosts h, security_groups g
"""


def crowd(world: World) -> None:
    """Many servers on many hosts."""
    assert active(world, "first", HOST) == 1
    with world.engine.begin() as conn:
        for number in range(2, HOSTS + 1):
            add_host(conn, f"cmp{number}")
        for statement in _CROWD.split(";"):
            conn.execute(text(statement))
    with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE"))


Asked = tuple[TextClause, dict[str, object]]


def asked_of(world: World, group: int) -> dict[str, Asked]:
    """What a host asks in all, and what it and others ask when the group changes."""
    with world.engine.begin() as conn:
        guests = group_state.guests_on_host(conn, HOST)
        own = sorted({group for guest in guests for group in guest.groups})
        concerning = [each.id for each in group_state.concerning(conn, own)]
    server: dict[str, object] = {"server_id": SERVERS // 2}
    one = {"ids": [group], "own": [group], "sources": [group]}
    return {
        "guests": (group_state._GUESTS, {"host": HOST}),
        "concerning": (group_state._CONCERNING, {"own": own}),
        "contents": (group_state._CONTENTS, one),
        "hold": (group_state._HOLD_GROUPS, server),
        "sources of a server": (group_state._SOURCES_OF_SERVER, server),
        "touch": (group_state._TOUCH, {"ids": [group]}),
        "hosts of sources": (group_state._HOSTS_OF_SOURCES, {"ids": [group]}),
        "hosts without": (group_state._HOSTS_WITHOUT, server),
        "report": (
            group_state._REPORT,
            {"host": HOST, "ids": [group], "generations": [2], "errors": [None]},
        ),
        "unconcerned": (group_state._UNCONCERNED, {"host": HOST, "ids": concerning}),
        "status": (group_state._STATUS, {"id": group}),
        "rules": (security_groups_admin._RULES, {"id": group}),
    }


def test_no_statement_reads_a_whole_table(world: World) -> None:
    """5,000 servers on 50 hosts, 500 groups."""
    crowd(world)
    group = world.one("SELECT id FROM security_groups WHERE name = 'group 250'")
    for name, (statement, values) in asked_of(world, group).items():
        with world.engine.connect() as conn:
            plan = "\n".join(conn.execute(text(f"EXPLAIN {statement.text}"), values).scalars())
        scanned = [table for table in LARGE_TABLES if re.search(rf"Seq Scan on {table}\b", plan)]
        assert scanned == [], f"{name}:\n{plan}"
