"""The records that the API's tests start from: two zones, two tenants, three users."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import Connection, text

ZONE_1 = "az-1.region-a.geo-1"  # without an address: served to any host
ZONE_2 = "az-2.region-a.geo-1"
HOST = "api.test:8774"
HOST_2 = "az-2.test:8774"
BASE = f"http://{HOST}"
ALPHA, BETA = "36991859863737", "40000000000002"
ANN, BOB, EVE = "13311562627589", "13311562627590", "13311562627591"  # Ann and Bob: alpha's
PASSWORD = "correct horse"
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
PUBLIC_KEY = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDZcOCJGRF2REub4+j5Y6LnF7Lk4xyvpdeqAEZYRJe8lC0YOhkF9PxO"
    "AQnSgRuAvcmFiff9E1Dt9yLCSlU40zRClLEMwchG4S51y4JI/mbMwppWKYxgPnIa9rHSIccEtZbhBU1MkwpUHeRcZE+b"
    "60y5xXiYSmVacmtwDZ89qf6TvQ== \n"
)
FINGERPRINT = "76:e3:b7:ca:95:91:fb:86:f7:fe:5d:d4:11:4d:77:65"  # the reference's own sample
FLAVORS = (
    (100, "standard.xsmall", 1, 1024, 30),
    (101, "standard.small", 2, 2048, 60),
    (102, "standard.medium", 2, 4096, 120),
    (103, "standard.large", 4, 8192, 240),
)


def token_of(who: str) -> str:
    """A token by a word: ``ann`` and so on."""
    return "HPAuth_" + hashlib.sha256(who.encode()).hexdigest()


@dataclass(frozen=True)
class World:
    """Ids that the database gave."""

    zones: dict[str, int]
    images: dict[str, int]
    groups: dict[tuple[str, str], int]


def make(conn: Connection) -> World:
    """Fill empty tables."""

    def add(table: str, **values: Any) -> int:
        names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        statement = f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING *"
        return int(conn.execute(text(statement), values).mappings().one().get("id", 0) or 0)

    def row(table: str, **values: Any) -> None:
        names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        conn.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)

    zones = {
        ZONE_1: add("zones", name=ZONE_1),
        ZONE_2: add("zones", name=ZONE_2, compute_url=f"http://{HOST_2}"),
    }
    row("tenants", id=ALPHA, name="alpha")
    row("tenants", id=BETA, name="beta")
    row("roles", id="1", name="member")
    for user, name, tenant in ((ANN, "ann", ALPHA), (BOB, "bob", ALPHA), (EVE, "eve", BETA)):
        row("users", id=user, name=name, password_hash=CHEAP.hash(PASSWORD))
        row("user_roles", user_id=user, tenant_id=tenant, role_id="1")
        add_token(conn, name, user, tenant)
    add_token(conn, "expired", ANN, ALPHA, hours=-1)
    add_token(conn, "unscoped", ANN, None)
    groups = {
        (tenant, zone): add(
            "security_groups", zone_id=zones[zone], tenant_id=tenant, name="default"
        )
        for tenant in (ALPHA, BETA)
        for zone in zones
    }
    for flavor_id, name, vcpus, ram_mb, disk_gb in FLAVORS:
        row("flavors", id=flavor_id, name=name, vcpus=vcpus, ram_mb=ram_mb, disk_gb=disk_gb)

    def image(name: str, zone: str = ZONE_1, **values: Any) -> int:
        values = {"status": "ACTIVE", "disk_format": "qcow2", "checksum": "0" * 64, **values}
        return add("images", name=name, zone_id=zones[zone], **values)

    images = {
        "public": image("Ubuntu Precise 12.04"),
        "saving": image("Saving", status="SAVING", checksum=None),
        "alpha": image("alpha's", tenant_id=ALPHA),
        "beta": image("beta's", tenant_id=BETA),
        "kernel": image("Kernel (Kernel)", kind="kernel"),
        "large": image("Large", min_ram_mb=4096),
        "zone 2": image("Ubuntu in 2", ZONE_2),
    }
    for key, value in (("architecture", "amd64"), ("hp_image_type", "disk")):
        row("image_metadata", image_id=images["public"], key=key, value=value, system=True)
    return World(zones, images, groups)


def add_token(conn: Connection, word: str, user: str, tenant: str | None, hours: int = 24) -> None:
    """Keep the token of a word."""
    token_hash = hashlib.sha256(token_of(word).encode()).digest()
    conn.execute(
        text(
            "INSERT INTO tokens (hash, user_id, created_at, expires_at)"
            " VALUES (:hash, :user, now(), now() + make_interval(hours => :hours))"
        ),
        {"hash": token_hash, "user": user, "hours": hours},
    )
    if tenant:
        conn.execute(
            text("INSERT INTO token_scopes (token_hash, tenant_id) VALUES (:hash, :tenant)"),
            {"hash": token_hash, "tenant": tenant},
        )
