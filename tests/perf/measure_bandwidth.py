"""How near to a flavor's rxtx_cap guests come: ``python -m tests.perf.measure_bandwidth``, as root.

One connection each way between a guest and the outside, both namespaces of their own
(tests/agent/network/world.py), through all of the host's firewall. Applications see 95.6% of what
is on the wire. Nothing here passes or fails; the machine's other load is in the figures.
"""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.table import Table

from tests.agent.network.streams import megabits
from tests.agent.network.world import OUTSIDE, World, server

CAPS = (1, 10, 100, 1000, 10_000, 0)


def measure(world: World, cap: int) -> tuple[float, float]:
    """Megabits per second that a guest sends and receives."""
    one = server(1, rxtx_cap=cap)
    guest = world.guest(one)
    skip, seconds = (4.0, 10.0) if cap == 1 else (1.0, 4.0)
    sent = megabits(guest.namespace, world.out, OUTSIDE, skip=skip, seconds=seconds)
    received = megabits(
        world.out, guest.namespace, one.public_addresses[0], skip=skip, seconds=seconds
    )
    world.remove_guests()
    return sent, received


def main() -> None:
    """Measure and print."""
    table = Table("cap, Mbit/s", "sent", "received", box=None)
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(monkeypatch)
        try:
            world.prepare()
            world.start_units()
            for cap in CAPS:
                sent, received = measure(world, cap)
                table.add_row(str(cap or "none"), f"{sent:.2f}", f"{received:.2f}")
        finally:
            world.close()
    Console().print(table)


if __name__ == "__main__":
    main()
