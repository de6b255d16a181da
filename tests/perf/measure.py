"""How fast a running lab is: ``.venv/bin/python -m tests.perf.measure [--json FILE]``.

Measures the lab named by UNDERCAST_LAB by its REST API, from this machine: reads in both forms and
logins at several concurrencies (requests per second, median and 95th percentile in ms), and the way
of a create. Use a
fake lab (``deploy/up --hypervisor fake --hosts 10``) to see the control plane alone. Nothing here
passes or fails; the machine's other load is in the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable, Coroutine
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


async def ask_for(
    url: str, header: str, concurrency: int, seconds: float, body: str | None = None
) -> list[float]:
    """Latencies in seconds of GETs, or of POSTs of ``body``, over ``concurrency`` connections.

    ``header``: one more header line.
    """
    parts = urlsplit(url)
    assert parts.hostname
    query = f"?{parts.query}" if parts.query else ""
    length = "" if body is None else f"\r\nContent-Length: {len(body.encode())}"
    request = (
        f"{'GET' if body is None else 'POST'} {parts.path}{query} HTTP/1.1\r\n"
        f"Host: {parts.netloc}\r\n{header}{length}\r\n\r\n{body or ''}"
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
    base = str(client.http.base_url).rstrip("/")
    head = f"X-Auth-Token: {client.http.headers['X-Auth-Token']}"
    paths = {
        "server detail": f"/servers/{server_id}",
        "server detail, XML": f"/servers/{server_id}.xml",
        "servers/detail, up to 50": "/servers/detail?limit=50",
        "servers/detail, up to 50, XML": "/servers/detail.xml?limit=50",
        "flavors": "/flavors",
        "limits": "/limits",
    }
    rows = []
    for name, path in paths.items():
        rows += measure(name, lambda n, url=base + path: ask_for(url, head, n, SECONDS))
    return rows


def measure_logins(openrc: dict[str, str]) -> list[dict[str, Any]]:
    """New tokens by password, whose hash is slow on purpose."""
    credentials = {"username": openrc["USERNAME"], "password": openrc["PASSWORD"]}
    auth = {"passwordCredentials": credentials, "tenantName": openrc["TENANT_NAME"]}
    url, body = f"{openrc['AUTH_URL']}/tokens", json.dumps({"auth": auth})
    head = "Content-Type: application/json"
    return measure("POST /tokens", lambda n: ask_for(url, head, n, SECONDS, body))


def measure(
    what: str, ask: Callable[[int], Coroutine[None, None, list[float]]]
) -> list[dict[str, Any]]:
    """A row of figures for each concurrency."""
    rows = []
    for concurrency in CONCURRENCIES:
        latencies = asyncio.run(ask(concurrency))
        rate = round(len(latencies) / SECONDS)
        rows.append(
            {"what": what, "concurrency": concurrency, "per_second": rate} | figures(latencies)
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
    openrc = Lab(names.current().name).openrc
    client = Client(openrc)
    server_id = client.create("perf-read")["id"]
    rows = measure_creates(client) + measure_reads(client, server_id) + measure_logins(openrc)
    client.delete(server_id)
    table = Table("what", "concurrency", "per second", "median ms", "95% ms", box=None)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
