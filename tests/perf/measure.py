"""How fast a running lab is: ``.venv/bin/python -m tests.perf.measure [--json FILE]``.

Measures the lab named by UNDERCAST_LAB by its REST API, from this machine: reads at several
concurrencies (requests per second, median and 95th percentile in ms) and the way of a create. Use a
fake lab (``deploy/up --hypervisor fake --hosts 10``) to see the control plane alone. Nothing here
passes or fails; the machine's other load is in the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from deploy.lab import names
from tests.lab import Client, Lab

SECONDS = 3.0  # for each read at each concurrency
CONCURRENCIES = (1, 8, 32)
CREATES = 30


async def read_for(url: str, token: str, concurrency: int, seconds: float) -> list[float]:
    """Latencies in seconds of GETs over ``concurrency`` kept connections."""
    parts = urlsplit(url)
    assert parts.hostname
    query = f"?{parts.query}" if parts.query else ""
    request = (
        f"GET {parts.path}{query} HTTP/1.1\r\nHost: {parts.netloc}\r\nX-Auth-Token: {token}\r\n\r\n"
    ).encode()
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def one_connection() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while time.perf_counter() < end:
            start = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert b" 200 " in head.split(b"\r\n", 1)[0], head
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            latencies.append(time.perf_counter() - start)
        writer.close()

    await asyncio.gather(*(one_connection() for _ in range(concurrency)))
    return latencies


def figures(latencies: list[float]) -> dict[str, float]:
    """Median and 95th percentile in ms."""
    ordered = sorted(latencies)
    return {
        "p50_ms": round(statistics.median(ordered) * 1000, 2),
        "p95_ms": round(ordered[int(len(ordered) * 0.95)] * 1000, 2),
    }


def measure_reads(client: Client, server_id: int) -> list[dict[str, Any]]:
    """The hot reads."""
    base, token = str(client.http.base_url).rstrip("/"), client.http.headers["X-Auth-Token"]
    paths = {
        "server detail": f"/servers/{server_id}",
        "servers/detail, up to 50": "/servers/detail?limit=50",
        "flavors": "/flavors",
        "limits": "/limits",
    }
    rows = []
    for name, path in paths.items():
        for concurrency in CONCURRENCIES:
            latencies = asyncio.run(read_for(base + path, token, concurrency, SECONDS))
            rate = round(len(latencies) / SECONDS)
            rows.append(
                {"what": name, "concurrency": concurrency, "per_second": rate} | figures(latencies)
            )
    return rows


def measure_creates(client: Client) -> list[dict[str, Any]]:
    """POST, and POST to ACTIVE, one server at a time."""
    posts, actives = [], []
    for number in range(CREATES):
        start = time.perf_counter()
        server_id = client.create(f"perf-{number}")["id"]
        posts.append(time.perf_counter() - start)
        while (client.show(server_id) or {}).get("status") != "ACTIVE":
            time.sleep(0.002)
        actives.append(time.perf_counter() - start)
        client.delete(server_id)
    return [
        {"what": what, "concurrency": 1, "per_second": ""} | figures(latencies)
        for what, latencies in (("POST /servers", posts), ("POST to ACTIVE", actives))
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    client = Client(Lab(names.current().name).openrc)
    server_id = client.create("perf-read")["id"]
    rows = measure_creates(client) + measure_reads(client, server_id)
    client.delete(server_id)
    table = Table("what", "concurrency", "per second", "median ms", "95% ms", box=None)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
