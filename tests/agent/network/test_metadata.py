"""Metadata reaches the guest that it belongs to, by its tap, and nobody else (rows 12 and 25)."""

from __future__ import annotations

import time

import pytest

from compute_agent import serverdir
from tests.agent.network.world import GATEWAY_MAC, World, connects, http, server, sh

A, B = server(1), server(2)


def port_of(server_id: int) -> int:
    record = serverdir.read(server_id)
    assert record is not None
    return record.metadata_port


def test_each_guest_reads_its_own(world: World) -> None:
    for one in (A, B):
        guest = world.guest(one)
        key = http(guest.namespace, "/latest/meta-data/public-keys/0/openssh-key")
        assert key == (200, one.public_key)
        assert http(guest.namespace, "/2009-04-04/meta-data/instance-id") == (200, one.ec2_id)
        assert http(guest.namespace, "/latest/nothing")[0] == 404
        assert http(guest.namespace, "/latest", method="PUT")[0] == 405


def test_security_12_headers_change_nothing(world: World) -> None:
    a, _ = world.guest(A), world.guest(B)
    forged = (
        f"X-Forwarded-For: {B.fixed_address}\r\nX-Real-IP: {B.fixed_address}\r\n"
        f"X-Instance-ID: {B.ec2_id}\r\nForwarded: for={B.fixed_address}\r\n"
    )
    assert http(a.namespace, "/latest/meta-data/instance-id", headers=forged) == (200, A.ec2_id)


def test_security_12_ports_cannot_be_reached_directly(world: World) -> None:
    a, b = world.guest(A), world.guest(B)
    for guest in (a, b):
        for number in (port_of(A.id), port_of(B.id)):
            for address in ("10.0.0.1", "169.254.169.254", "192.168.50.11", "15.185.0.11"):
                assert not connects(guest.namespace, address, number, seconds=0.15)
    sh(f"ip -n {world.out} route add 10.0.0.1 via 15.185.0.11")
    sh(f"ip -n {world.mgmt} route add 10.0.0.1 via 192.168.50.11")
    for outside in (world.out, world.mgmt):
        assert not connects(outside, "10.0.0.1", port_of(A.id), seconds=0.3)
    sh(f"ip -n {world.out} route del 10.0.0.1")
    sh(f"ip -n {world.mgmt} route del 10.0.0.1")


def test_security_12_the_source_address_must_match_too(world: World) -> None:
    world.guest(A)
    status, body = http(world.host, "/latest/meta-data/", address="10.0.0.1", port=port_of(A.id))
    assert (status, body) == (404, "")


def test_nothing_from_the_flat_interface(world: World) -> None:
    """A host next door that takes a guest's identity is still not on its tap."""
    guest = world.guest(A)
    sh(f"ip -n {world.flat} link add name taker link eth0 address {A.mac} type macvlan mode bridge")
    sh(f"ip -n {world.flat} link set taker up")
    sh(f"ip -n {world.flat} addr add {A.fixed_address}/16 dev taker")
    sh(f"ip -n {world.flat} route add 169.254.169.254 via 10.0.0.1")
    sh(f"ip -n {world.flat} neigh add 10.0.0.1 lladdr {GATEWAY_MAC} dev taker")
    assert not connects(world.flat, "169.254.169.254", 80)
    sh(f"ip -n {world.flat} link del taker")
    assert http(guest.namespace, "/latest/meta-data/instance-id")[0] == 200


def test_a_guest_that_takes_the_address_to_be_on_its_link(world: World) -> None:
    guest = world.guest(A)
    guest.ip("route del default", "route add 169.254.0.0/16 dev eth0")
    assert http(guest.namespace, "/latest/meta-data/instance-id") == (200, A.ec2_id)


def test_other_ports_of_the_address_are_closed(world: World) -> None:
    guest = world.guest(A)
    assert not connects(guest.namespace, "169.254.169.254", 22, seconds=0.2)
    assert not connects(guest.namespace, "169.254.169.254", 8775, seconds=0.2)


def test_a_greedy_guest_does_not_harm_another(world: World) -> None:
    a, b = world.guest(A), world.guest(B)
    import socket

    from tests.agent.network.world import inside

    def many() -> list[socket.socket]:
        return [socket.create_connection(("169.254.169.254", 80), 2) for _ in range(100)]

    held = inside(a.namespace, many)
    assert http(b.namespace, "/latest/meta-data/instance-id") == (200, B.ec2_id)
    for connection in held:
        connection.close()
    time.sleep(0.2)
    assert http(a.namespace, "/latest/meta-data/instance-id") == (200, A.ec2_id)


def test_answers_follow_the_record_and_end_with_the_server(world: World) -> None:
    guest = world.guest(A)
    world.plug(server(1, security_groups=("default", "web"), generation=4))
    assert http(guest.namespace, "/latest/meta-data/security-groups") == (200, "default\nweb")
    number = port_of(A.id)
    world.unplug(A.id)
    deadline = time.monotonic() + 3
    while connects(world.host, "10.0.0.1", number) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not connects(world.host, "10.0.0.1", number)


def test_service_outlives_bridge_and_rules(world: World) -> None:
    guest = world.guest(A)
    sh(f"ip netns exec {world.host} nft flush ruleset")
    sh(f"ip -n {world.host} link del br100")
    with pytest.raises(OSError, match=r"timed out|unreachable|refused|No route"):
        http(guest.namespace, "/latest", seconds=0.3)
    world.plug(A)
    assert http(guest.namespace, "/latest/meta-data/instance-id") == (200, A.ec2_id)
