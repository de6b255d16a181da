"""Public addresses: translated or nothing (R217, R218), seen from outside and from inside."""

from __future__ import annotations

import socket
import threading
from ipaddress import IPv4Address

import pytest

from compute_agent.network import connections, servers
from compute_agent.network.announce import frame as announcement
from tests.agent.network.world import (
    OUTSIDE,
    Wire,
    World,
    connects,
    inside,
    listener,
    ping,
    server,
    sh,
)

A, B = server(1), server(2)
PUBLIC_A, PUBLIC_B = A.public_addresses[0], B.public_addresses[0]


def peer_seen(serving: str, calling: str, address: str, port: int = 7000) -> str:
    """Address that a server in one namespace sees of a caller in another."""
    with listener(serving, port) as waiting:
        waiting.settimeout(2)
        found: list[str] = []

        def accept() -> None:
            connection, peer = waiting.accept()
            found.append(peer[0])
            connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        with inside(calling, socket.create_connection, (address, port), 2):
            thread.join()
    return found[0]


def test_reachable_from_outside_with_the_callers_own_address(world: World) -> None:
    guest = world.guest(A)
    assert ping(world.out, PUBLIC_A)
    assert peer_seen(guest.namespace, world.out, PUBLIC_A) == OUTSIDE


def test_outgoing_traffic_shows_the_public_address(world: World) -> None:
    guest = world.guest(A)
    assert peer_seen(world.out, guest.namespace, OUTSIDE) == PUBLIC_A


def test_internal_traffic_is_not_translated(world: World) -> None:
    a, b = world.guest(A), world.guest(B)
    assert peer_seen(b.namespace, a.namespace, B.fixed_address) == A.fixed_address


def test_reachable_from_a_neighbour_from_the_host_and_from_itself(world: World) -> None:
    a, b = world.guest(A), world.guest(B)
    assert peer_seen(a.namespace, b.namespace, PUBLIC_A) == PUBLIC_B
    assert peer_seen(a.namespace, a.namespace, PUBLIC_A) == PUBLIC_A
    assert peer_seen(a.namespace, world.host, PUBLIC_A) == "10.0.0.1"


def test_several_addresses_reach_the_server_and_the_first_is_shown(world: World) -> None:
    both = server(1, public_addresses=("15.185.16.77", "15.185.16.78"))
    guest = world.guest(both)
    for address in both.public_addresses:
        assert peer_seen(guest.namespace, world.out, address) == OUTSIDE
    assert peer_seen(world.out, guest.namespace, OUTSIDE) == "15.185.16.77"


def test_without_its_rule_an_address_is_nothing(world: World) -> None:
    """Fails closed: the host, which has a listener on every address, does not answer either."""
    guest = world.guest(A)
    with listener(world.host, 7001), listener(guest.namespace, 7001):
        assert connects(world.out, PUBLIC_A, 7001)
        sh(f"ip netns exec {world.host} nft delete element ip undercast fixed_of {{ {PUBLIC_A} }}")
        assert not connects(world.out, PUBLIC_A, 7001)
        assert not ping(world.out, PUBLIC_A, seconds=0.3)
        world.plug(A)
        assert connects(world.out, PUBLIC_A, 7001)


def test_addresses_are_on_no_interface(world: World) -> None:
    world.guest(A)
    assert PUBLIC_A not in sh(f"ip -n {world.host} address")


def test_without_a_public_address_nothing_leaves(world: World) -> None:
    guest = world.guest(server(3, public=False))
    wire = Wire(world.out)
    assert not ping(guest.namespace, OUTSIDE, seconds=0.3)
    inner = bytes((10, 0, 0, 13))
    assert wire.wait(lambda got: got if got[26:30] == inner else None, 0.1) is None
    wire.close()


def test_fixed_addresses_cannot_be_reached_from_outside(world: World) -> None:
    guest = world.guest(A)
    sh(f"ip -n {world.out} route add 10.0.0.0/16 via 15.185.0.11")
    with listener(guest.namespace, 7002):
        assert not connects(world.out, A.fixed_address, 7002)
    assert not ping(world.out, A.fixed_address, seconds=0.3)
    sh(f"ip -n {world.out} route del 10.0.0.0/16")


def test_an_internal_source_from_outside_is_refused(world: World) -> None:
    guest = world.guest(A)
    with listener(guest.namespace, 7003) as waiting:
        sh(f"ip -n {world.out} addr add 10.0.3.3/32 dev lo")
        sh(f"ip -n {world.out} route add {PUBLIC_A} dev eth0 src 10.0.3.3")
        assert not connects(world.out, PUBLIC_A, 7003)
        sh(f"ip -n {world.out} route del {PUBLIC_A}")
        sh(f"ip -n {world.out} addr del 10.0.3.3/32 dev lo")
        waiting.close()


def test_neighbours_learn_at_once_where_the_address_is(world: World) -> None:
    wire = Wire(world.out)
    world.plug(A)
    mac = wire.wait(lambda got: got[6:12] if got[28:32] == bytes((15, 185, 16, 11)) else None, 1.0)
    assert mac is not None
    link = sh(f"ip -n {world.host} -br link show eth2").split()[2]
    assert mac.hex(":") == link
    assert len(announcement(mac, IPv4Address("15.185.16.11"))) == 42
    wire.close()


def test_connections_end_with_the_server(world: World) -> None:
    guest = world.guest(A)
    with (
        listener(guest.namespace, 7004) as waiting,
        inside(world.out, socket.create_connection, (PUBLIC_A, 7004), 2),
    ):
        waiting.accept()[0].close()
        listed = f"ip netns exec {world.host} conntrack -L"
        assert PUBLIC_A in sh(listed)
        world.unplug(A.id)
        assert PUBLIC_A not in sh(listed)
        assert A.fixed_address not in sh(listed)


def test_an_agent_that_was_killed_before_it_cut_begins_with_that(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the lost address translated ends; what the server still has goes on."""
    both = server(1, public_addresses=(PUBLIC_A, "15.185.16.77"))
    guest = world.guest(both)
    with listener(guest.namespace, 7005) as waiting:
        ends = []
        for address in both.public_addresses:
            out = inside(world.out, socket.create_connection, (address, 7005), 2)
            ends.append((out, waiting.accept()[0]))
        monkeypatch.setattr(connections, "cut", lambda **_: None)  # it did not come to this
        world.plug(server(1))
        listed = f"ip netns exec {world.host} conntrack -L"
        assert "15.185.16.77" in sh(listed)
        monkeypatch.setattr(servers, "_begun", set())
        world.prepare()
        assert "15.185.16.77" not in sh(listed)
        assert f"dst={PUBLIC_A}" in sh(listed)
        for pair in ends:
            for end in pair:
                end.close()
