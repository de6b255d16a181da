"""What tests of security groups and floating addresses share: groups, and servers on hosts."""

from __future__ import annotations

from typing import Any

import httpx
from sqlalchemy import Engine, text

from tests.api.client import Api
from tests.api.world import World

HOSTS = """
    INSERT INTO hosts (name, zone_id, management_address, hypervisor, vcpus, ram_mb, disk_gb,
                       vcpu_ratio, ram_ratio, disk_ratio)
    SELECT name, 1, '192.168.50.11', 'fake', 8, 8192, 100, 1, 1, 1
    FROM unnest(CAST(:names AS text[])) AS name WHERE name NOT IN (SELECT name FROM hosts)
"""
PLACE = """
    UPDATE servers SET vm_state = 'ACTIVE', task_state = NULL, updated_at = '2012-01-01Z',
           host_id = (SELECT id FROM hosts WHERE name = :host) WHERE id = :id
"""
ADDRESSES = """
    INSERT INTO networks (zone_id, name, cidr, gateway, gateway_mac)
    VALUES (1, 'private', '10.0.0.0/16', '10.0.0.1', 'fe-00-00-00-00-01');
    INSERT INTO fixed_addresses (network_id, address)
    SELECT 1, CAST('10.0.0.10' AS inet) + n FROM generate_series(0, 9) AS n;
    INSERT INTO public_pools (zone_id, name) VALUES (1, 'public');
    INSERT INTO public_addresses (pool_id, address)
    SELECT 1, CAST('15.185.16.1' AS inet) + n FROM generate_series(0, 3) AS n
"""


def execute(database: Engine, statements: str, **values: Any) -> None:
    with database.begin() as conn:
        for statement in statements.split(";"):
            conn.execute(text(statement), values)


def group(api: Api, name: str = "web", **options: Any) -> int:
    """A new group; its id."""
    body = {"security_group": {"name": name, "description": f"{name} servers"}}
    made = api.post("os-security-groups", body, **options)
    assert made.status_code == 200, made.text
    return int(made.json()["security_group"]["id"])


def add_rule(api: Api, parent: object, **members: Any) -> httpx.Response:
    """POST os-security-group-rules: tcp 22 from everywhere, unless members say otherwise."""
    rule = {
        "parent_group_id": parent, "ip_protocol": "tcp", "from_port": 22, "to_port": 22,
        "cidr": "0.0.0.0/0", **members,
    }  # fmt: skip
    return api.post("os-security-group-rules", {"security_group_rule": rule})


def from_group(api: Api, parent: int, source: int) -> httpx.Response:
    """A rule that lets in all from the members of a group."""
    nothing = dict.fromkeys(("ip_protocol", "from_port", "to_port", "cidr"))
    return add_rule(api, parent, group_id=source, **nothing)


def place(
    api: Api, records: World, database: Engine, name: str, host: str, *groups: str
) -> dict[str, Any]:
    """A server that is ACTIVE on a host, and was last changed long ago."""
    named = [{"name": group} for group in groups]
    made = api.create(name, records.images["public"], security_groups=named)
    assert made.status_code == 202, made.text
    server: dict[str, Any] = made.json()["server"]
    execute(database, HOSTS, names=[host])
    execute(database, PLACE, host=host, id=server["id"])
    api.nudged.clear()
    return server


def address(database: Engine, server_id: int) -> None:
    """The server has a fixed and an automatic public address."""
    with database.begin() as conn:
        for table, more in (
            ("fixed_addresses", ""),
            ("public_addresses", ", automatic = true, associated_at = now()"),
        ):
            free = f"SELECT min(id) FROM {table} WHERE server_id IS NULL"
            conn.execute(
                text(f"UPDATE {table} SET server_id = :id {more} WHERE id = ({free})"),
                {"id": server_id},
            )


def changed(api: Api, server_id: int) -> bool:
    """Whether the server says that it changed since it was placed (R117)."""
    updated: str = api.get(f"servers/{server_id}").json()["server"]["updated"]
    return updated != "2012-01-01T00:00:00Z"
