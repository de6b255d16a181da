"""How fast metadata is: ``python -m tests.perf.measure_metadata``, as root.

Two guests of one host, both namespaces of their own (tests/agent/network/world.py), so that neither
emulation nor the rest of a lab is in the figures. One reads its metadata now and then, alone and
beside what the other does; a new connection for each request, through the host's firewall. Nothing
here passes or fails; the machine's other load is in the figures.
"""

from __future__ import annotations

import contextlib
import socket
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from rich.console import Console
from rich.table import Table

from tests.agent.network.world import World, inside, server
from tests.perf.measure import figures

SECONDS = 5.0
REQUEST = b"GET /latest/meta-data/instance-id HTTP/1.0\r\n\r\n"
CALM, BUSY = server(1), server(2)


def ask(per_second: float, seconds: float) -> list[float]:
    """Latencies in seconds of requests from this thread's namespace, so many at the most."""
    latencies: list[float] = []
    due = time.perf_counter()
    end = due + seconds
    while (start := time.perf_counter()) < end:
        with contextlib.suppress(OSError):  # refused: more than a guest may have
            with socket.create_connection(("169.254.169.254", 80), 2) as connection:
                connection.sendall(REQUEST)
                answer = b"".join(iter(lambda c=connection: c.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.0 200 "), answer
            latencies.append(time.perf_counter() - start)
        due = max(due + 1 / per_second, start)
        time.sleep(max(0.0, due - time.perf_counter()))
    return latencies


def load(namespace: str, threads: int, per_second: float) -> list[float]:
    """Latencies of several threads of one guest, ``per_second`` each. For a process of its own."""

    def work(_: int) -> list[float]:
        return inside(namespace, ask, per_second, SECONDS)

    with ThreadPoolExecutor(threads) as pool:
        return [latency for found in pool.map(work, range(threads)) for latency in found]


def row(who: str, latencies: list[float]) -> dict[str, object]:
    """A row of figures."""
    rate = round(len(latencies) / SECONDS)
    return {"who": who, "per_second": rate} | figures(latencies)


def measure(world: World) -> list[dict[str, object]]:
    """Both guests' figures, for ever more load of the other."""
    calm, busy = world.guest(CALM).namespace, world.guest(BUSY).namespace
    rows = [row("alone", inside(calm, ask, 20.0, SECONDS))]
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        for what, threads, per_second in (
            ("beside 200 a second", 4, 50.0),
            ("beside all that 32 threads can", 32, 10_000.0),
        ):
            theirs = pool.submit(load, busy, threads, per_second)
            rows.append(row(what, inside(calm, ask, 20.0, SECONDS)))
            rows.append(row("  the other", theirs.result()))
    return rows


def main() -> None:
    """Measure and print."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(monkeypatch)
        try:
            world.prepare()
            world.start_units()
            rows = measure(world)
            world.remove_guests()
        finally:
            world.close()
    table = Table("a guest's requests", "per second", "median ms", "95% ms", box=None)
    for values in rows:
        table.add_row(*(str(value) for value in values.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
