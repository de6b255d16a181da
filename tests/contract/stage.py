"""The world that the reference's examples were captured in, so that they can be sent verbatim.

Tenant, user, server, images, groups and addresses have the ids and names that the examples use.
What only some operations suppose, such as a group that another one makes, is in ``SUPPOSED``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
from sqlalchemy import Connection, Engine, event, text

from api.wire.call import Format
from db.engine import async_engine
from db.models import Base
from tests.api import world
from tests.api.client import Api
from tests.api.world import ALPHA, ANN, ZONE_1
from tests.contract.reference import Operation

TABLES = [table.name for table in Base.metadata.sorted_tables]
_EMPTY = "; ".join(f"DELETE FROM {table}" for table in reversed(TABLES))
_IDS_FROM_1 = "; ".join(
    f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), 1, false)"
    for table in Base.metadata.sorted_tables
    if "id" in table.columns and table.columns["id"].identity
)
_DIGEST = " UNION ALL ".join(
    f"SELECT '{table}', count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {table} t"
    for table in TABLES
    if table not in ("tokens", "token_scopes")
)

SERVER, IMAGE, SNAPSHOT, GROUP, RULE, FLOATING = 233693, 120, 40747, 14703, 31701, 980
CONSOLE = b"Begin: Loading essential drivers ... done.\r\n" * 60
UUID = "f632dbea-e9bc-4c71-a893-6bdc3696a5ca"
PATH = {
    "tenant_id": ALPHA,
    "alias": "os-keypairs",
    "server_id": SERVER,
    "image_id": SNAPSHOT,
    "flavor_id": 103,
    "network_id": "private",
    "key": "key-1",
    "keypair_name": "key.pub",
    "id": FLOATING,
    "floating_ip_id": FLOATING,
    "security_group_id": GROUP,
    "security_group_rule_id": RULE,
}

_VARIABLE = re.compile(r"{(\w+)(?::\w+)?}")

_SCENE = f"""
INSERT INTO hosts (id, name, zone_id, management_address, hypervisor, vcpus, ram_mb, disk_gb,
                   vcpu_ratio, ram_ratio, disk_ratio, used_vcpus, used_ram_mb, used_disk_gb)
VALUES (1001, 'cmp1', :zone, '127.0.0.1', 'fake', 8, 8192, 100, 1, 1, 1, 1, 1024, 30);
INSERT INTO networks (id, zone_id, name, cidr, gateway, gateway_mac)
VALUES (1001, :zone, 'private', '10.4.0.0/16', '10.4.0.1', 'fe-00-00-00-00-01');
INSERT INTO public_pools (id, zone_id, name) VALUES (1001, :zone, 'public');

INSERT INTO images (id, zone_id, tenant_id, name, status, disk_format, checksum, size) VALUES
({IMAGE}, :zone, NULL, 'Ubuntu Precise 12.04 LTS Server 64-bit 20120424', 'ACTIVE', 'raw',
 repeat('0', 64), 1),
({SNAPSHOT}, :zone, '{ALPHA}', 'image-1', 'ACTIVE', 'raw', repeat('1', 64), 1);
INSERT INTO image_metadata (image_id, key, value, system) VALUES
({IMAGE}, 'architecture', 'amd64', true), ({IMAGE}, 'hp_image_type', 'disk', true),
({SNAPSHOT}, 'key-1', 'value-1', false), ({SNAPSHOT}, 'key-2', 'value-2', false);

INSERT INTO keypairs (zone_id, tenant_id, user_id, name, public_key, fingerprint)
VALUES (:zone, '{ALPHA}', '{ANN}', 'key.pub', '{world.PUBLIC_KEY}', '{world.FINGERPRINT}');

INSERT INTO server_names (id, zone_id, tenant_id, name)
VALUES (1001, :zone, '{ALPHA}', 'server-name');
INSERT INTO servers (id, uuid, zone_id, tenant_id, user_id, name, name_id, hostname,
                     reservation_id, flavor_id, flavor_name, vcpus, ram_mb, disk_gb, root_gb,
                     image_id, key_name, vm_state, power_state, host_id, launched_at)
VALUES ({SERVER}, '{UUID}', :zone, '{ALPHA}', '{ANN}', 'server-name', 1001, 'server-name',
        'r-abcdefgh', 100, 'standard.xsmall', 1, 1024, 30, 0,
        {IMAGE}, 'key.pub', 'ACTIVE', 'running', 1001, now());
INSERT INTO allocations (server_id, host_id, vcpus, ram_mb, disk_gb)
VALUES ({SERVER}, 1001, 1, 1024, 30);
INSERT INTO server_metadata (server_id, key, value) VALUES
({SERVER}, 'key-1', 'value-1'), ({SERVER}, 'key-2', 'value-2');
INSERT INTO fixed_addresses (network_id, address, server_id) VALUES (1001, '10.4.15.127', {SERVER});
INSERT INTO public_addresses (id, pool_id, address, tenant_id, server_id, automatic) VALUES
(979, 1001, '15.185.99.229', NULL, {SERVER}, true),
({FLOATING}, 1001, '15.185.230.113', '{ALPHA}', NULL, false),
(1146, 1001, '15.185.230.99', '{ALPHA}', NULL, false),
(1147, 1001, '15.185.228.121', NULL, NULL, false);

UPDATE security_groups SET description = 'default' WHERE id = :default;
INSERT INTO security_groups (id, zone_id, tenant_id, name, description) VALUES
({GROUP}, :zone, '{ALPHA}', 'security-group', 'A security group'),
(17963, :zone, '{ALPHA}', 'group of the XML example', 'with rules to come'),
(17965, :zone, '{ALPHA}', 'group of the JSON example', 'with rules to come');
INSERT INTO server_security_groups (server_id, group_id) VALUES ({SERVER}, :default);
INSERT INTO security_group_rules (id, group_id, protocol, from_port, to_port, cidr,
                                  source_group_id) VALUES
({RULE}, :default, 'tcp', 22, 22, '0.0.0.0/0', NULL),
(31703, :default, 'icmp', -1, -1, '0.0.0.0/0', NULL),
(31705, :default, NULL, NULL, NULL, NULL, :default);
"""
_TWO_GROUPS = f"""
INSERT INTO security_groups (id, zone_id, tenant_id, name, description) VALUES
(17753, :zone, '{ALPHA}', 'security-group-1', 'Security group 1'),
(17755, :zone, '{ALPHA}', 'security-group-2', 'Security group 2');
"""
SUPPOSED = {
    "security_groups.show": f"""
        INSERT INTO security_group_rules (group_id, protocol, from_port, to_port, cidr)
        VALUES ({GROUP}, 'tcp', 80, 8080, '0.0.0.0/0')""",
    "servers.action.addSecurityGroup": _TWO_GROUPS,
    "servers.action.removeSecurityGroup": f"""{_TWO_GROUPS}
        INSERT INTO server_security_groups VALUES ({SERVER}, 17753), ({SERVER}, 17755)""",
    "servers.action.removeFloatingIp": f"""
        UPDATE public_addresses SET server_id = {SERVER}, associated_at = now()
        WHERE id IN ({FLOATING}, 1146)""",
}


class Stage:
    """The scene, an application that plays in it, and whether it is as it was."""

    def __init__(self, api: Api, database: Engine) -> None:
        self.api, self.database = api, database
        self._set_for: str | None = None
        self._values: dict[str, int] = {}

    def set(self, operation: Operation | None = None) -> None:
        """Make the scene that an operation supposes, unless it is there already."""
        wanted = operation.id if operation and operation.id in SUPPOSED else ""
        if self._set_for == wanted:
            return
        with self.database.begin() as conn:
            conn.execute(text(_EMPTY))
            conn.execute(text(_IDS_FROM_1))
            records = world.make(conn)
            self._values = {
                "zone": records.zones[ZONE_1], "default": records.groups[ALPHA, ZONE_1],
            }  # fmt: skip
            self._run(conn, _SCENE)
            self._run(conn, SUPPOSED.get(wanted, ""))
        self._set_for = wanted

    def change(self, statements: str) -> None:
        """Change the scene by SQL, for one test."""
        self._set_for = None
        with self.database.begin() as conn:
            self._run(conn, statements)

    def _run(self, conn: Connection, statements: str) -> None:
        for statement in statements.split(";"):
            if statement.strip():
                conn.execute(text(statement), self._values)

    def digest(self) -> dict[str, tuple[int, int]]:
        """What every table holds, but for tokens."""
        with self.database.connect() as conn:
            rows = conn.execute(text(_DIGEST)).all()
        return {table: (count, int(total)) for table, count, total in rows}

    def send(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        form: Format | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """One request by its whole path; ``form`` is that of its content."""
        given = dict(headers or {})
        if form is not None:
            given.setdefault("Content-Type", form.value)
        answer = self.api(method, path, content=content, headers=given, **options)
        if method not in ("GET", "HEAD", "OPTIONS") and answer.status_code < 400:
            self._set_for = None
        return answer


def path_of(route: str, suffix: str = "", **changed: object) -> str:
    """A path with the scene's ids, or with others."""
    values = PATH | changed
    return _VARIABLE.sub(lambda found: quote(str(values.get(found[1], 1)), safe=""), route) + suffix


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that the application sends to Postgres meanwhile."""
    engine = async_engine().sync_engine
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.append(arguments[2])

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)
