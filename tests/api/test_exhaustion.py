"""When a zone's addresses run out: what clients see; nothing is held (R112, R216, R217)."""

from __future__ import annotations

from lxml import etree
from sqlalchemy import Engine, text

from tests.api.client import Api, fault
from tests.api.groups import ADDRESSES, HOSTS, execute
from tests.api.world import World
from tests.scheduling import schedule

XML = "http://docs.openstack.org/compute/api/v1.1"
BEATS = """
    INSERT INTO host_heartbeats (host_id, at, boot_id, details)
    SELECT id, now(), 'boot', '{}' FROM hosts
"""
NONE_LEFT = "No more addresses are available."


def build(database: Engine, most: int) -> None:
    """A host with room, ten fixed addresses and ``most`` public ones."""
    execute(database, ADDRESSES)
    execute(database, "DELETE FROM public_addresses WHERE id > :most", most=most)
    execute(database, HOSTS, names=["cmp1"])
    execute(database, BEATS)


def test_create_is_accepted_and_ends_in_error_with_the_reason(
    api: Api, database: Engine, records: World
) -> None:
    """As where no host has room: 202, then a fault that says what is missing."""
    build(database, most=2)
    answer = api.create("web", records.images["public"], min_count=4, max_count=4)
    assert answer.status_code == 202
    schedule(database)
    servers = api.get("servers/detail").json()["servers"]
    states = sorted(server["status"] for server in servers)
    assert states == ["BUILD(networking)"] * 2 + ["ERROR"] * 2
    for server in servers:
        if server["status"] == "ERROR":
            assert (server["fault"]["code"], server["fault"]["message"]) == (500, NONE_LEFT)
            assert (server["addresses"], server["hostId"]) == ({}, "")
            element = etree.fromstring(api.get(f"servers/{server['id']}.xml").content)
            assert element.findtext(f"{{{XML}}}fault/{{{XML}}}message") == NONE_LEFT
            reboot = {"reboot": {"type": "HARD"}}
            assert api.post(f"servers/{server['id']}/action", reboot).status_code == 409
            assert api.delete(f"servers/{server['id']}").status_code == 204
        else:
            assert len(server["addresses"]["private"]) == 2


def test_a_server_that_got_none_costs_nothing(api: Api, database: Engine, records: World) -> None:
    """What it had claimed before is free again, and untouched: the next one gets it at once."""
    build(database, most=0)
    assert api.create("web", records.images["public"]).status_code == 202
    schedule(database)
    (server,) = api.get("servers/detail").json()["servers"]
    assert server["status"] == "ERROR"
    with database.begin() as conn:
        held = conn.execute(
            text(
                "SELECT (SELECT count(*) FROM allocations), (SELECT sum(used_ram_mb) FROM hosts),"
                " (SELECT count(*) FROM fixed_addresses"
                "  WHERE server_id IS NOT NULL OR released_at IS NOT NULL)"
            )
        ).one()
    assert tuple(held) == (0, 0, 0)
    execute(database, "INSERT INTO public_addresses (pool_id, address) VALUES (1, '15.185.16.1')")
    assert api.create("web 2", records.images["public"]).status_code == 202
    schedule(database)
    (shown,) = [one for one in api.get("servers/detail").json()["servers"] if one != server]
    assert [a["addr"] for a in shown["addresses"]["private"]] == ["10.0.0.10", "15.185.16.1"]


def test_d40_servers_and_floating_addresses_come_from_the_same_pools(
    api: Api, database: Engine, records: World
) -> None:
    build(database, most=2)
    assert api.post("os-floating-ips").status_code == 200
    assert api.create("web", records.images["public"]).status_code == 202
    schedule(database)
    answer = api.post("os-floating-ips")
    assert fault(answer) == (400, "badRequest", "No more floating ips available.")
