"""A small cloud in a database: two zones, two tenants, a flavor, images, addresses, hosts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Address
from threading import Barrier
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text

from db.engine import OPTIONS, database_url
from db.queries import (
    agents,
    flavors_admin,
    images_admin,
    networks,
    pools,
    server_changes,
    tenants,
    users,
    zones,
)
from db.queries.address_ranges import Range
from db.queries.images_admin import NewImage
from db.queries.server_changes import NewServers
from db.scope import Scope

ZONE, OTHER_ZONE = "az-1.region-a.geo-1", "az-2.region-a.geo-1"
FLAVOR = 1
TENANT, OTHER_TENANT = "11111111111111", "22222222222222"


@dataclass(frozen=True)
class World:
    """What there is."""

    engine: Engine
    scope: Scope  # the tenant in its zone
    elsewhere: Scope  # the same tenant in the other zone
    stranger: Scope  # the other tenant in the zone
    image: int
    other_image: int  # in the other zone

    def create(self, name: str = "server", scope: Scope | None = None, **more: Any) -> list[int]:
        """Servers, committed."""
        with self.engine.begin() as conn:
            return create(conn, scope or self.scope, self.image, name, **more)

    def rows(self, sql: str, **values: Any) -> list[Any]:
        """Rows of a query."""
        with self.engine.begin() as conn:
            return list(conn.execute(text(sql), values))

    def one(self, sql: str, **values: Any) -> Any:
        """The one value of a query."""
        ((value,),) = self.rows(sql, **values)
        return value


def create(conn: Connection, scope: Scope, image: int, name: str, **more: Any) -> list[int]:
    """Servers of the small flavor."""
    new = NewServers(name=name, hostname="", flavor_id=FLAVOR, image_id=image, **more)
    return server_changes.create(conn, scope, new).server_ids


def build(engine: Engine) -> World:
    """Make it."""
    with engine.begin() as conn:
        zones.create(conn, ZONE)
        zones.create(conn, OTHER_ZONE, compute_url="https://az-2.example.com")
        here, there = zones.find(conn, ZONE), zones.find(conn, OTHER_ZONE)
        assert here is not None
        assert there is not None
        for tenant, user in ((TENANT, "ann"), (OTHER_TENANT, "bob")):
            tenants.create(conn, f"tenant of {user}", id=tenant)
            users.create(conn, user, "no password")
            users.join(conn, user_id(conn, user), tenant, "member")
        flavors_admin.create(conn, "tiny", id=FLAVOR, vcpus=1, ram_mb=128)
        first, second = (
            images_admin.register(
                conn,
                NewImage(
                    zone_id=zone.id, name="mini", kind="machine", disk_format="qcow2", size=100,
                    virtual_size=2**30, checksum="0" * 64,
                ),
            )
            for zone in (here, there)
        )  # fmt: skip
        ann, bob = user_id(conn, "ann"), user_id(conn, "bob")
    return World(
        engine,
        Scope(TENANT, here.id, ann, "req-1"),
        Scope(TENANT, there.id, ann, "req-2"),
        Scope(OTHER_TENANT, here.id, bob, "req-3"),
        first,
        second,
    )


def user_id(conn: Connection, name: str) -> str:
    """Id of a user."""
    found = users.find(conn, name)
    assert found is not None
    return found.id


def add_addresses(conn: Connection, zone_id: int, count: int, public: int = 0) -> None:
    """A network with ``count`` addresses, and a pool when ``public`` is not 0."""
    networks.create(
        conn, zone_id=zone_id, name="private", cidr="10.0.0.0/16", gateway="10.0.0.1",
        ranges=[Range(IPv4Address("10.0.0.10"), count)],
    )  # fmt: skip
    if public:
        public_range = Range(IPv4Address("15.185.16.1"), public)
        pools.create(conn, zone_id=zone_id, name="public", ranges=[public_range])


def add_host(conn: Connection, name: str, zone: str = ZONE, **more: Any) -> int:
    """A host that is alive; 8 processors, 8 GB, 100 GB unless said otherwise."""
    facts = {
        "name": name, "zone": zone, "management_address": "192.168.50.11", "hypervisor": "fake",
        "vcpus": 8, "ram_mb": 8192, "disk_gb": 100, "vcpu_ratio": 1.0, "ram_ratio": 1.0,
        "disk_ratio": 1.0, "reserved_ram_mb": 0, **more,
    }  # fmt: skip
    host_id = agents.register(conn, facts)
    agents.beat(conn, {host_id: "boot"}, {})
    return host_id


def at_once(jobs: Sequence[Callable[[Connection], Any]]) -> list[Any]:
    """Run jobs, each in a transaction on a connection of its own, all starting together.

    What a job raises stands in its place.
    """
    engine = create_engine(database_url(), pool_size=len(jobs), max_overflow=0, **OPTIONS)
    barrier = Barrier(len(jobs))

    def run(job: Callable[[Connection], Any]) -> Any:
        with closing(engine.connect()) as conn:
            conn.execute(text("SELECT 1"))
            conn.rollback()
            barrier.wait(30)
            try:
                with conn.begin():
                    return job(conn)
            except Exception as error:
                return error

    try:
        with ThreadPoolExecutor(len(jobs)) as pool:
            return list(pool.map(run, jobs))
    finally:
        engine.dispose()
