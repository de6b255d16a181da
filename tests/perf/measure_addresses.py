"""How fast addresses are made and claimed: ``python -m tests.perf.measure_addresses``.

65,000 fixed and as many public ones are made, shown and removed by the command, the start of its
process included. Then 200 servers claim one of each kind, each in a transaction of its own: on one
connection, on 8, and all at once on 200; in every state that the other addresses may be in. The
Postgres is made for it and does not wait for the disk. Nothing here passes or fails; the machine's
other load is in the figures.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, Engine, create_engine, text

from db.engine import OPTIONS, database_url
from db.operations.errors import Fatal
from db.queries import addresses
from tests.databases import server, using
from tests.db.test_claims import servers
from tests.db.world import World, build
from tests.perf.measure import figures

COUNT, CLAIMS = 65_000, 200
CONCURRENCIES = (1, 8, CLAIMS)
QUARANTINE = 600.0
COMMANDS = (
    "network create private --cidr 10.0.0.0/16 --gateway 10.0.0.1 --first 10.0.0.10 --count 65000",
    "pool create public --range 15.0.0.1-15.0.253.232",
    "network list",
    "pool list",
    "pool remove public --range 15.0.9.1-15.0.9.254",
    "pool add public --range 15.0.9.0/24",
    "pool show public",
    "pool create other --range 15.1.0.1-15.1.253.232",
    "pool delete other",
)
TABLES = ("fixed_addresses", "public_addresses")
HOLDERS = """
    INSERT INTO servers (zone_id, tenant_id, user_id, name, name_id, hostname, reservation_id,
        flavor_id, flavor_name, vcpus, ram_mb, disk_gb, root_gb, image_id)
    SELECT zone_id, tenant_id, user_id, 'holder', name_id, hostname, reservation_id,
        flavor_id, flavor_name, vcpus, ram_mb, disk_gb, root_gb, image_id
    FROM servers CROSS JOIN generate_series(1, :count) WHERE id = :id
"""
FREE = {
    "fixed_addresses": "server_id = NULL",
    "public_addresses": "server_id = NULL, automatic = false",
}
HELD = """
    UPDATE {table} a SET server_id = s.id FROM
        (SELECT id, row_number() OVER (ORDER BY id) AS n FROM {table}) one
        JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM servers WHERE name = 'holder') s
        ON s.n = one.n
    WHERE a.id = one.id AND one.n <= :held
"""
STATES: tuple[tuple[str, int, str], ...] = (  # what it is called, held ones, released_at of all
    ("never used", 0, "NULL"),
    (
        "used before, all rested",
        0,
        "clock_timestamp() - interval '1 h' + random() * interval '1 s'",
    ),
    (f"all held but {CLAIMS}", COUNT - CLAIMS, "NULL"),
    (f"all held but {CLAIMS // 2}", COUNT - CLAIMS // 2, "NULL"),
    ("all held", COUNT, "NULL"),
    ("all resting", 0, "clock_timestamp()"),
)


def command(words: str) -> dict[str, Any]:
    """How long the operator's command takes."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "deploy.cli.main", *words.split()], check=True, capture_output=True
    )
    return {"what": f"undercast {words}", "seconds": round(time.perf_counter() - start, 2)}


def prepare(world: World, name: str, held: int, released_at: str) -> list[int]:
    """Give all addresses a state; ids of servers that have none."""
    ids = world.create(name, min_count=CLAIMS, max_count=CLAIMS)
    with world.engine.begin() as conn:
        for table in TABLES:
            conn.execute(text(f"UPDATE {table} SET {FREE[table]}, released_at = {released_at}"))
            conn.execute(text(HELD.format(table=table)), {"held": held})
    with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE"))  # as Postgres does by itself before so much changed
    return ids


def claim_all(
    engine: Engine, world: World, ids: list[int], at_once: int
) -> tuple[float, list[float], int]:
    """Seconds of all claims together and of each, and how many were refused."""
    barrier = Barrier(at_once)

    def claim(conn: Connection, server_id: int) -> tuple[float, float, bool]:
        start = time.perf_counter()
        try:
            with conn.begin():
                addresses.claim(
                    conn, zone_id=world.scope.zone_id, server_id=server_id, quarantine=QUARANTINE
                )
        except Fatal:
            return start, time.perf_counter(), False
        return start, time.perf_counter(), True

    def claim_some(some: list[int]) -> list[tuple[float, float, bool]]:
        with engine.connect() as conn:
            conn.execute(text("SELECT 1"))
            conn.rollback()
            barrier.wait(60)
            return [claim(conn, server_id) for server_id in some]

    with ThreadPoolExecutor(at_once) as pool:
        parts = [pool.submit(claim_some, ids[n::at_once]) for n in range(at_once)]
        ends = [end for part in parts for end in part.result()]
    total = max(end for _, end, _ in ends) - min(start for start, _, _ in ends)
    return total, [end - start for start, end, _ in ends], sum(not got for _, _, got in ends)


def measure_claims(world: World) -> list[dict[str, Any]]:
    """Figures for each state and concurrency."""
    (first,) = servers(world, 1)  # and from here on no quota
    with world.engine.begin() as conn:
        conn.execute(text(HOLDERS), {"count": COUNT, "id": first})
    engine = create_engine(database_url(), pool_size=CLAIMS, max_overflow=0, **OPTIONS)
    rows = []
    for (state, held, released_at), at_once in itertools.product(STATES, CONCURRENCIES):
        ids = prepare(world, f"{state}, {at_once}", held, released_at)
        total, latencies, refused = claim_all(engine, world, ids, at_once)
        rows.append(
            {"the others": state, "at once": at_once, "refused": refused}
            | {"total_ms": round(total * 1000)}
            | figures(latencies)
        )
        for table in TABLES:
            taken = world.one(
                f"SELECT count(server_id) FROM {table} WHERE server_id BETWEEN :first AND :last",
                first=ids[0], last=ids[-1],
            )  # fmt: skip
            assert taken == CLAIMS - refused, (state, table, taken)
    engine.dispose()
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    with server() as postgres, using(postgres.fresh()) as engine:
        world = build(engine)
        made = [command(words) for words in COMMANDS]
        claims = measure_claims(world)
    for rows in (made, claims):
        table = Table(*rows[0], box=None)
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        Console(width=120).print(table, "")
    if arguments.json:
        arguments.json.write_text(json.dumps({"commands": made, "claims": claims}, indent=2))


if __name__ == "__main__":
    main()
