"""A guest without any limit of bandwidth leaves the others what they need of the host."""

from __future__ import annotations

import socket

from compute_agent.network.rules import MOST_FLOWS
from tests.agent.network.world import (
    OUTSIDE,
    Guest,
    World,
    connects,
    http,
    inside,
    listener,
    ping,
    server,
    sh,
)

PORT = 9001
GREEDY, MODEST = server(1), server(2)


def open_flows(guest: Guest, count: int) -> None:
    """The guest sends one datagram to each of ``count`` ports."""

    def work() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(count):
                sender.sendto(b"x", (OUTSIDE, 1024 + number))

    inside(guest.namespace, work)


def tracked(world: World, guest: Guest) -> int:
    """Connections in the kernel's table that the guest opened."""
    source = guest.server.fixed_address
    return sh(f"ip netns exec {world.host} conntrack -L --orig-src {source}").count("src=") // 2


def test_a_guest_does_not_fill_the_table_of_connections(world: World) -> None:
    greedy, modest = world.guest(GREEDY), world.guest(MODEST)
    with (
        listener(world.out, PORT) as waiting,
        inside(greedy.namespace, socket.create_connection, (OUTSIDE, PORT), 5.0) as old,
    ):
        open_flows(greedy, 2 * MOST_FLOWS)
        assert MOST_FLOWS / 2 < tracked(world, greedy) <= MOST_FLOWS
        world.prepare()  # rules that are loaded again count on
        assert not connects(greedy.namespace, OUTSIDE, PORT)
        assert not connects(greedy.namespace, "169.254.169.254", 80)
        assert not ping(greedy.namespace, MODEST.fixed_address)

        old.sendall(b"still")
        with waiting.accept()[0] as end:
            assert end.recv(5) == b"still"
        assert ping(world.out, GREEDY.public_addresses[0])
        assert connects(modest.namespace, OUTSIDE, PORT)
        assert http(modest.namespace, "/latest/meta-data/instance-id") == (200, MODEST.ec2_id)

        world.unplug(MODEST.id)
        sh(f"ip netns exec {world.host} conntrack -D --orig-src {GREEDY.fixed_address}")
        assert connects(greedy.namespace, OUTSIDE, PORT)


def test_a_stream_that_nobody_answers_is_one_connection(world: World) -> None:
    greedy = world.guest(GREEDY)

    def work() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(2 * MOST_FLOWS):
                sender.sendto(b"x", (OUTSIDE, 1024))

    inside(greedy.namespace, work)
    assert tracked(world, greedy) == 1
    assert ping(greedy.namespace, OUTSIDE)
